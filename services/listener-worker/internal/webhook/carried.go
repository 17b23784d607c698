// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import "net/netip"

// carried are the IPv4 addresses that packets to an IPv6 address may end at: in IPv4-compatible
// (RFC 4291 section 2.5.5.1) and translated ones (RFC 2765 section 2.1), behind a NAT64 (RFC
// 6052 section 2.2), and at the end of a 6to4 (RFC 3056 section 2), Teredo (RFC 4380 section 4)
// or ISATAP tunnel (RFC 5214 section 6.1).
func carried(address netip.Addr) []netip.Addr {
	if !address.Is6() || address == netip.IPv6Unspecified() || address == netip.IPv6Loopback() {
		return nil
	}
	b := address.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(address) }
	switch {
	case within("::/96"), within("::ffff:0:0:0/96"), within("64:ff9b::/96"):
		return []netip.Addr{last}
	case within("64:ff9b:1::/48"):
		return local64(b)
	case within("2002::/16"):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case within("2001::/32"): // the server, and the client, whose bits are turned
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case b[8]&^3 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // in any network
		return []netip.Addr{last}
	}
	return nil
}

// local64 are the addresses that one behind a NAT64 of a site's own (RFC 8215) may stand for:
// how long its prefix is, the site knows alone. Byte 8 is none of the address's, and what
// would begin with 0 is part of a prefix or what follows.
func local64(b [16]byte) []netip.Addr {
	var found []netip.Addr
	for _, v4 := range [][4]byte{
		{b[6], b[7], b[9], b[10]},    // /48
		{b[7], b[9], b[10], b[11]},   // /56
		{b[9], b[10], b[11], b[12]},  // /64
		{b[12], b[13], b[14], b[15]}, // /96
	} {
		if v4[0] != 0 {
			found = append(found, netip.AddrFrom4(v4))
		}
	}
	return found
}
