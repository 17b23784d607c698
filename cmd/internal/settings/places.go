// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// hostName is what can be looked up: letters of any case, digits, hyphens and
// underscores. International names are written as they are looked up, with xn--.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$`)

// serviceName is a port by its name, such as imaps (RFC 6335).
var serviceName = regexp.MustCompile(`^[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*$`)

const (
	maxHost = 254 // with the dot at its end
	maxPort = 1<<16 - 1
	// maxSocket is the longest path of a unix socket, less the byte that ends it.
	maxSocket = 107
)

// address refuses where nothing can listen. Without a host that is everywhere; port 0
// is any free one.
func (p *problems) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || port == "":
		p.add(key, "%q: want host:port", address)
	case host != "" && !isHost(host):
		p.add(key, "%q: want host:port, and %q is neither a name nor an address", address, host)
	case !isPort(port):
		p.add(key, "%q: want a port from 1 to %d", address, maxPort)
	}
}

// target refuses what cannot be dialled.
func (p *problems) target(key, address string) {
	switch host, port, err := net.SplitHostPort(address); {
	case err == nil && port != "" && host == "":
		p.add(key, "%q: want host:port, and there is no host", address)
	case err == nil && port != "" && strings.Trim(port, "0") == "":
		p.add(key, "%q: want a port from 1 to %d", address, maxPort)
	default:
		p.address(key, address)
	}
}

// targets is target for each of a list.
func (p *problems) targets(key string, addresses []string) {
	for i, address := range addresses {
		p.target(item(key, i), address)
	}
}

// url refuses what is not the URL of a server, whose form is told as want is. It quotes
// nothing: a password may be in it.
func (p *problems) url(key, raw, want string, ok func(*url.URL) bool) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.User != nil || strings.Contains(raw, "@") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || !ok(u):
		p.add(key, "want %s, without anything secret in it", want)
	case u.Host != "" && !isHost(u.Hostname()):
		p.add(key, "want %s, and its host is neither a name nor an address", want)
	case u.Host != "" && (strings.HasSuffix(u.Host, ":") || u.Port() != "" && (!isPort(u.Port()) || strings.Trim(u.Port(), "0") == "")):
		p.add(key, "want %s, and its port from 1 to %d", want, maxPort)
	}
}

func isWeb(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" }

// prefixes refuses prefixes that do not say what they mean. An IPv4 address in IPv6
// clothes is judged as IPv4.
func (p *problems) prefixes(key string, list []netip.Prefix) {
	for i, prefix := range list {
		switch {
		case !prefix.IsValid():
			p.add(item(key, i), "want a prefix like 10.1.0.0/16")
		case prefix.Addr().Is4In6():
			p.add(item(key, i), "%q: want the prefix as IPv4", prefix)
		case prefix != prefix.Masked():
			p.add(item(key, i), "%q: want %s, or fewer addresses", prefix, prefix.Masked())
		}
	}
}

func item(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || len(host) <= maxHost && hostName.MatchString(host)
}

func isPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 32)
	return err == nil && number <= maxPort || err != nil && serviceName.MatchString(port)
}

// isLoopback tells whether a host is this machine, in whatever case it is written.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
