// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// endpoint is where the server is: a host with the usual port, or a full URL. Its errors
// show nothing of what was given: a password may have been put into it.
type endpoint struct {
	server string
	port   port
}

func (e *endpoint) register(flags *pflag.FlagSet) {
	flags.StringVarP(&e.server, "server", "s", defaultServer, "host or URL of the `server`; https unless it is this machine or an http:// URL")
	flags.VarP(&e.port, "port", "p", fmt.Sprintf("the server's `port` (default %d, of a URL the scheme's)", defaultPort))
}

// resolve returns the base URL of the server. A bare host other than this machine is
// asked by https, so that a password never crosses a network in clear by default.
func (e *endpoint) resolve(customCA bool) (*url.URL, error) {
	if strings.Contains(e.server, "@") || strings.Contains(e.server, "%40") {
		return nil, usagef("--server must not carry a name or a password; see --adminuser")
	}
	if strings.Contains(e.server, "://") {
		return e.resolveURL()
	}
	host, port, err := e.hostPort(e.server)
	if err != nil {
		return nil, err
	}
	if port == "" {
		port = strconv.Itoa(defaultPort)
	}
	scheme := "https"
	if isLoopback(host) && !customCA {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, nil
}

func (e *endpoint) resolveURL() (*url.URL, error) {
	u, err := url.Parse(e.server)
	switch {
	case err != nil, u.Host == "", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, noServer()
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, usagef("--server: want http or https before the ://")
	}
	host, port, err := e.hostPort(u.Host)
	if err != nil {
		return nil, err
	}
	at := &url.URL{Scheme: u.Scheme, Host: host, Path: strings.TrimRight(path.Clean("/"+u.Path), "/")}
	if port != "" || strings.Contains(host, ":") {
		at.Host = strings.TrimSuffix(net.JoinHostPort(host, port), ":")
	}
	return at, nil
}

// hostPort splits host, host:port, and IPv6 addresses with or without brackets. The port
// is empty when neither it nor --port says one; the host is in small letters.
func (e *endpoint) hostPort(text string) (host, port string, err error) {
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return address.String(), e.port.String(), nil
	}
	if host, port = text, e.port.String(); strings.Contains(text, ":") {
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", "", noServer()
		}
		if _, err := parsePort(port); err != nil {
			return "", "", usagef("--server: after the colon %v", err)
		}
		if e.port != 0 {
			return "", "", usagef("--server and --port both name a port")
		}
	}
	if host = strings.ToLower(host); !isHost(host) {
		return "", "", noServer()
	}
	return host, port, nil
}

func noServer() error {
	return usagef("--server: want a host, or a URL such as https://host:8443")
}

// hostName is a name in ASCII; net/http turns others into one.
var hostName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$`)

func isHost(host string) bool {
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return host == printable(host) && !strings.ContainsAny(host, `/?#%\ `)
	}
	_, err := netip.ParseAddr(host)
	return err == nil || hostName.MatchString(host)
}

// isLoopback tells whether a host is this machine, whatever the resolver says.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || err == nil && addr.IsLoopback()
}

// port is a TCP port on the command line; 0 means not given.
type port uint16

// String implements [pflag.Value].
func (p *port) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

// Set implements [pflag.Value].
func (p *port) Set(text string) (err error) {
	*p, err = parsePort(text)
	return err
}

// Type implements [pflag.Value].
func (*port) Type() string { return "port" }

func parsePort(text string) (port, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return 0, errors.New("want a port from 1 to 65535")
	}
	return port(number), nil
}
