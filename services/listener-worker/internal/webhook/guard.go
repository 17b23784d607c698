// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// guard says which addresses may be dialled, so that whoever chooses an endpoint's
// URL cannot reach what only the worker can reach. It is asked with each address
// that is about to be connected to, after all names are resolved: how the host was
// written and what the name said a moment ago do not count.
type guard struct {
	blocked []rule
	allowed []netip.Prefix
	ports   []uint16 // of addresses that are not on the allow-list
}

// rule blocks the addresses of a prefix.
type rule struct {
	name   string
	prefix netip.Prefix
	// alone means that only its exact address on the allow-list opens it.
	alone bool
}

// blockedError names the rule that refused an address. It does not hold the address,
// which is nothing a subscriber may learn.
type blockedError struct{ rule string }

// Error implements error.
func (e *blockedError) Error() string {
	return "the endpoint's address is not allowed: " + e.rule
}

func newGuard(allowed []netip.Prefix, ports []uint16) guard {
	return guard{blocked: rules(), allowed: allowed, ports: ports}
}

// control implements the hook of [net.Dialer] that runs before each connect.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &blockedError{"not an IP address"}
	}
	if err := g.check(target.Addr()); err != nil {
		return err
	}
	return g.checkPort(target)
}

// checkPort judges the port of an address that may be dialled. The operator who has named the
// address means what listens there, whatever its port; elsewhere a port other than those of
// https is another protocol's, as likely as not.
func (g guard) checkPort(target netip.AddrPort) error {
	address := target.Addr().Unmap().WithZone("")
	if slices.Contains(g.ports, target.Port()) || slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return nil
	}
	return &blockedError{fmt.Sprintf("port %d", target.Port())}
}

// check judges an address as it is, and then what it carries: a network that is allowed may
// lead to any IPv4 address by way of a translator or a tunnel, and an interface of a public
// network, too.
func (g guard) check(address netip.Addr) error {
	if !address.IsValid() {
		return &blockedError{"not an IP address"}
	}
	address = address.Unmap().WithZone("") // a prefix contains no address with a zone
	if slices.ContainsFunc(g.allowed, func(p netip.Prefix) bool { return p.IsSingleIP() && p.Addr().Unmap() == address }) {
		return nil
	}
	if err := g.itself(address); err != nil {
		return err
	}
	for _, inner := range carried(address) {
		if err := g.itself(inner); err != nil {
			return &blockedError{err.rule + ", carried by IPv6"}
		}
	}
	return nil
}

// itself judges an address by the rules alone.
func (g guard) itself(address netip.Addr) *blockedError {
	for _, blocked := range g.blocked {
		if blocked.prefix.Contains(address) {
			return g.unlessAllowed(blocked, address)
		}
	}
	return nil
}

func (g guard) unlessAllowed(blocked rule, address netip.Addr) *blockedError {
	for _, allowed := range g.allowed {
		if allowed.Contains(address) && (!blocked.alone || allowed.IsSingleIP()) {
			return nil
		}
	}
	return &blockedError{blocked.name}
}

// rules are all blocked prefixes, the first that contains an address names it. They
// are IANA's special-purpose registries (RFC 6890) without what is globally reachable
// there, and the forms of IPv6 that carry an IPv4 address, whichever it is. An IPv4-mapped
// address is the IPv4 address, and judged as that.
func rules() []rule {
	block := func(name, prefix string) rule { return rule{name: name, prefix: netip.MustParsePrefix(prefix)} }
	metadata := func(address string) rule {
		return rule{name: "cloud metadata", prefix: netip.MustParsePrefix(address), alone: true}
	}
	return []rule{
		metadata("169.254.169.254/32"), // AWS, Azure, Google and most others
		metadata("169.254.170.2/32"),   // AWS, credentials of a container
		metadata("169.254.170.23/32"),  // AWS, credentials of a pod
		metadata("169.254.42.42/32"),   // Scaleway
		metadata("168.63.129.16/32"),   // Azure, for the machine's agent
		metadata("100.100.100.200/32"), // Alibaba
		metadata("192.0.0.192/32"),     // Oracle
		metadata("fd00:ec2::254/128"),  // AWS
		metadata("fd00:ec2::23/128"),   // AWS, credentials of a pod
		metadata("fd20:ce::254/128"),   // Google
		metadata("fd00:42::42/128"),    // Scaleway

		block("unspecified", "0.0.0.0/8"),
		block("loopback", "127.0.0.0/8"),
		block("private", "10.0.0.0/8"),
		block("private", "172.16.0.0/12"),
		block("private", "192.168.0.0/16"),
		block("carrier-grade NAT", "100.64.0.0/10"),
		block("link-local", "169.254.0.0/16"),
		block("protocol assignments", "192.0.0.0/24"),
		block("documentation", "192.0.2.0/24"),
		block("documentation", "198.51.100.0/24"),
		block("documentation", "203.0.113.0/24"),
		block("6to4", "192.88.99.0/24"), // its relays
		block("benchmarking", "198.18.0.0/15"),
		block("multicast", "224.0.0.0/4"),
		block("broadcast", "255.255.255.255/32"),
		block("reserved", "240.0.0.0/4"),

		block("unspecified", "::/128"),
		block("loopback", "::1/128"),
		block("IPv4-compatible", "::/96"),
		block("IPv4-translated", "::ffff:0:0:0/96"),
		block("NAT64", "64:ff9b::/96"),
		block("NAT64", "64:ff9b:1::/48"),
		block("discard", "100::/64"),
		block("Teredo", "2001::/32"),
		block("benchmarking", "2001:2::/48"),
		block("protocol assignments", "2001::/23"),
		block("documentation", "2001:db8::/32"),
		block("documentation", "3fff::/20"),
		block("6to4", "2002::/16"),
		block("segment routing", "5f00::/16"),
		block("unique-local", "fc00::/7"),
		block("link-local", "fe80::/10"),
		block("site-local", "fec0::/10"),
		block("multicast", "ff00::/8"),
		// IPv6 has given out 2000::/3 only. The rest is blocked until it has a meaning.
		block("reserved", "::/3"),
		block("reserved", "4000::/2"),
		block("reserved", "8000::/1"),
	}
}
