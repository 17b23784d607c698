// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// endpoint is where the server is: a host with the usual port, or a full URL.
type endpoint struct {
	server string
	port   uint16 // 0 means not given
}

func (e *endpoint) register(flags *pflag.FlagSet) {
	flags.StringVarP(&e.server, "server", "s", defaultServer, "host or URL of the `server`; https unless it is this machine or an http:// URL")
	flags.Uint16VarP(&e.port, "port", "p", 0, fmt.Sprintf("the server's `port` (default %d, of a URL the scheme's)", defaultPort))
}

// resolve returns the base URL of the server. A bare host other than this machine is
// asked by https, so that a password never crosses a network in clear by default.
func (e *endpoint) resolve(customCA bool) (string, error) {
	if strings.Contains(e.server, "://") {
		return e.resolveURL()
	}
	host, port, err := e.hostPort()
	if err != nil {
		return "", err
	}
	scheme := "https"
	if isLoopback(host) && !customCA {
		scheme = "http"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

func (e *endpoint) resolveURL() (string, error) {
	u, err := url.Parse(e.server)
	switch {
	case err != nil, u.Hostname() == "", u.RawQuery != "", u.Fragment != "":
		return "", usagef("--server %q: want a host, or a URL such as https://host:8443", e.server)
	case u.User != nil:
		return "", usagef("--server: the URL must not carry a name or a password; see --adminuser")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", usagef("--server %q: want http or https", e.server)
	case e.port != 0 && u.Port() != "":
		return "", usagef("--server %q and --port both name a port", e.server)
	case e.port != 0:
		u.Host = net.JoinHostPort(u.Hostname(), e.portText())
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// hostPort splits host, host:port, and IPv6 addresses with or without brackets.
func (e *endpoint) hostPort() (host, port string, err error) {
	if _, err := netip.ParseAddr(strings.Trim(e.server, "[]")); err == nil {
		return strings.Trim(e.server, "[]"), e.portText(), nil
	}
	if !strings.Contains(e.server, ":") {
		host, port = e.server, e.portText()
	} else if host, port, err = net.SplitHostPort(e.server); err == nil && e.port != 0 {
		return "", "", usagef("--server %q and --port both name a port", e.server)
	}
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || strings.ContainsAny(host, "/?#@% ") {
		return "", "", usagef("--server %q: want a host, or a URL such as https://host:8443", e.server)
	}
	return host, port, nil
}

func (e *endpoint) portText() string {
	if e.port == 0 {
		return strconv.Itoa(defaultPort)
	}
	return strconv.Itoa(int(e.port))
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
