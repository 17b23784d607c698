// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// blockedRanges names each rule with the first and last address it blocks.
func blockedRanges() []struct{ rule, first, last string } {
	return []struct{ rule, first, last string }{
		{"unspecified", "0.0.0.0", "0.255.255.255"},
		{"loopback", "127.0.0.0", "127.255.255.255"},
		{"private", "10.0.0.0", "10.255.255.255"},
		{"private", "172.16.0.0", "172.31.255.255"},
		{"private", "192.168.0.0", "192.168.255.255"},
		{"carrier-grade NAT", "100.64.0.0", "100.127.255.255"},
		{"link-local", "169.254.0.0", "169.254.255.255"},
		{"protocol assignments", "192.0.0.0", "192.0.0.255"},
		{"documentation", "192.0.2.0", "192.0.2.255"},
		{"documentation", "198.51.100.0", "198.51.100.255"},
		{"documentation", "203.0.113.0", "203.0.113.255"},
		{"6to4", "192.88.99.0", "192.88.99.255"},
		{"benchmarking", "198.18.0.0", "198.19.255.255"},
		{"multicast", "224.0.0.0", "239.255.255.255"},
		{"reserved", "240.0.0.0", "255.255.255.254"},
		{"broadcast", "255.255.255.255", "255.255.255.255"},

		{"cloud metadata", "169.254.169.254", "169.254.169.254"},
		{"cloud metadata", "169.254.170.2", "169.254.170.2"},
		{"cloud metadata", "169.254.170.23", "169.254.170.23"},
		{"cloud metadata", "169.254.42.42", "169.254.42.42"},
		{"cloud metadata", "168.63.129.16", "168.63.129.16"},
		{"cloud metadata", "100.100.100.200", "100.100.100.200"},
		{"cloud metadata", "192.0.0.192", "192.0.0.192"},
		{"cloud metadata", "fd00:ec2::254", "fd00:ec2::254"},
		{"cloud metadata", "fd00:ec2::23", "fd00:ec2::23"},
		{"cloud metadata", "fd20:ce::254", "fd20:ce::254"},
		{"cloud metadata", "fd00:42::42", "fd00:42::42"},

		{"unspecified", "::", "::"},
		{"loopback", "::1", "::1"},
		{"IPv4-compatible", "::2", "::ffff:ffff"},
		{"unspecified", "::ffff:0.0.0.0", "::ffff:0.255.255.255"},
		{"loopback", "::ffff:127.0.0.0", "::ffff:127.255.255.255"},
		{"broadcast", "::ffff:255.255.255.255", "::ffff:255.255.255.255"},
		{"IPv4-translated", "::ffff:0:0.0.0.0", "::ffff:0:255.255.255.255"},
		{"NAT64", "64:ff9b::", "64:ff9b::ffff:ffff"},
		{"NAT64", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
		{"discard", "100::", "100::ffff:ffff:ffff:ffff"},
		{"Teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"benchmarking", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"},
		{"protocol assignments", "2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"documentation", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"6to4", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"segment routing", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"unique-local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"link-local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"site-local", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"multicast", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"reserved", "1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"reserved", "4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"reserved", "8000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	}
}

func TestGuardBlocks(t *testing.T) {
	t.Parallel()
	g := newGuard(nil, nil)
	named := make(map[string]bool)
	for _, c := range blockedRanges() {
		named[c.rule] = true
		for _, text := range []string{c.first, c.last} {
			if got := ruleFor(g, netip.MustParseAddr(text)); got != c.rule {
				t.Errorf("%s is judged %q, want %q", text, got, c.rule)
			}
		}
	}
	for _, rule := range rules() {
		if !named[rule.name] {
			t.Errorf("no case names the rule %q", rule.name)
		}
		if rule.prefix != rule.prefix.Masked() {
			t.Errorf("%s has bits outside of its mask", rule.prefix)
		}
	}
	// A zone must not lead past the prefixes.
	for _, text := range []string{"fe80::1%eth0", "::1%lo", "fd00:ec2::254%1"} {
		if g.check(netip.MustParseAddr(text)) == nil {
			t.Errorf("%s is let through", text)
		}
	}
	if g.check(netip.Addr{}) == nil {
		t.Error("no address is let through")
	}
}

// The neighbours of the blocked ranges, and what the Internet is made of.
func TestGuardLetsPublicAddressesThrough(t *testing.T) {
	t.Parallel()
	g := newGuard(nil, nil)
	for _, text := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"191.255.255.255", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8",
		"2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2001:4860:4860::8888", "2003::", "2a00::1",
		"3ffe:ffff::", "3fff:1000::",
	} {
		if err := g.check(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestGuardAllowList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed, address string
		ok               bool
	}{
		{"127.0.0.0/8", "127.0.0.1", true},
		{"127.0.0.0/8", "10.0.0.1", false},
		{"127.0.0.0/8", "::1", false},
		{"127.0.0.0/8", "::ffff:127.0.0.1", true},
		{"127.0.0.0/8", "::ffff:10.0.0.1", false},
		{"::1/128", "::1", true},
		{"10.1.0.0/16", "10.1.2.3", true},
		{"10.1.0.0/16", "10.2.0.1", false},
		{"fe80::/10", "fe80::1%eth0", true},
		{"0.0.0.0/0", "192.168.0.1", true},
		{"10.0.0.0/8", "8.8.8.8", true},
		// Whoever opens a network does not mean the metadata service in it.
		{"0.0.0.0/0", "169.254.169.254", false},
		{"169.254.0.0/16", "169.254.169.254", false},
		{"169.254.0.0/16", "169.254.1.1", true},
		{"100.64.0.0/10", "100.100.100.200", false},
		{"fc00::/7", "fd00:ec2::254", false},
		{"169.254.169.254/32", "169.254.169.254", true},
	} {
		g := newGuard([]netip.Prefix{netip.MustParsePrefix("198.18.7.0/24"), netip.MustParsePrefix(c.allowed)}, nil)
		if err := g.check(netip.MustParseAddr(c.address)); (err == nil) != c.ok {
			t.Errorf("%s with %s allowed: %v, want ok %v", c.address, c.allowed, err, c.ok)
		}
	}
}

// A network that is allowed does not open what lies behind it in another form.
func TestGuardJudgesTheCarriedAddress(t *testing.T) {
	t.Parallel()
	const metadata, private = "cloud metadata, carried by IPv6", "private, carried by IPv6"
	for _, c := range []struct{ allowed, address, rule string }{
		{"64:ff9b::/96", "64:ff9b::8.8.8.8", ""},
		{"64:ff9b::/96", "64:ff9b::10.0.0.1", private},
		{"64:ff9b::/96", "64:ff9b::169.254.169.254", metadata},
		{"64:ff9b::/96", "64:ff9b::", "unspecified, carried by IPv6"},
		{"64:ff9b::10.0.0.1/128", "64:ff9b::10.0.0.1", ""},
		{"10.0.0.0/8", "64:ff9b::10.0.0.1", "NAT64"},
		{"64:ff9b:1::/48", "64:ff9b:1:808:8:800::", ""},      // 8.8.8.8 behind a /48
		{"64:ff9b:1::/48", "64:ff9b:1:a00:0:100::", private}, // 10.0.0.1
		{"64:ff9b:1::/48", "64:ff9b:1:a:0:100::", private},   // behind a /56
		{"64:ff9b:1::/48", "64:ff9b:1:0:a:0:100::", private}, // behind a /64
		{"64:ff9b:1::/48", "64:ff9b:1::8.8.8.8", ""},
		{"64:ff9b:1::/48", "64:ff9b:1::169.254.169.254", metadata},
		{"2002::/16", "2002:808:808::1", ""},
		{"2002::/16", "2002:a9fe:a9fe::1", metadata},
		{"2001::/32", "2001:0:808:808::f7f7:f7f7", ""},
		{"2001::/32", "2001:0:808:808::f5ff:fffe", private},
		{"2001::/32", "2001:0:a00:1::f7f7:f7f7", private},
		{"::/0", "::169.254.169.254", metadata},
		{"::/0", "::ffff:0:169.254.169.254", metadata},
		{"::1/128", "2a00:1::5efe:8.8.8.8", ""},
		{"::1/128", "2a00:1::5efe:10.0.0.1", private},
		{"::1/128", "2a00:1::200:5efe:10.0.0.1", private},
		{"10.0.0.0/8", "2a00:1::5efe:10.0.0.1", ""},
		{"fc00::/7", "fd00::5efe:169.254.169.254", metadata},
		{"::1/128", "2a00:1::5eff:10.0.0.1", ""}, // an interface like any other
	} {
		g := newGuard([]netip.Prefix{netip.MustParsePrefix(c.allowed)}, nil)
		if got := ruleFor(g, netip.MustParseAddr(c.address)); got != c.rule {
			t.Errorf("%s with %s allowed is judged %q, want %q", c.address, c.allowed, got, c.rule)
		}
	}
}

func TestGuardReadsWhatTheDialerSays(t *testing.T) {
	t.Parallel()
	g := newGuard([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, []uint16{443, 8443})
	for address, rule := range map[string]string{
		"8.8.8.8:443": "", "[2a00::1]:443": "", "8.8.8.8:8443": "", "[::ffff:8.8.8.8]:443": "",
		"8.8.8.8:80": "port 80", "[2a00::1]:22": "port 22", "[::ffff:8.8.8.8]:25": "port 25",
		"10.1.2.3:9000": "", "[::ffff:10.1.2.3]:9000": "", "10.2.0.1:443": "private", "10.2.0.1:9000": "private",
		"127.0.0.1:443": "loopback", "[::1]:443": "loopback", "[::ffff:127.0.0.1]:443": "loopback", "[fe80::1%lo]:443": "link-local",
		"": "not an IP address", "/run/socket": "not an IP address", "example.org:443": "not an IP address", "8.8.8.8": "not an IP address",
	} {
		err := g.control("tcp", address, nil)
		if refused := new(blockedError); (err != nil) != (rule != "") || errors.As(err, &refused) && refused.rule != rule {
			t.Errorf("%q: %v, want %q", address, err, rule)
		}
	}
}

// FuzzGuard holds the guard against what the standard library knows of addresses.
func FuzzGuard(f *testing.F) {
	for _, c := range blockedRanges() {
		f.Add(netip.MustParseAddr(c.first).AsSlice())
		f.Add(netip.MustParseAddr(c.last).AsSlice())
	}
	f.Add([]byte{8, 8, 8, 8})
	f.Add([]byte{})
	g := newGuard(nil, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		address, ok := netip.AddrFromSlice(raw)
		err := g.check(address)
		if (!ok || inward(address)) && err == nil {
			t.Errorf("%v is let through", address)
		}
		if err == nil {
			return
		}
		if text := address.String(); strings.Contains(err.Error(), text) && ok && len(text) > 3 {
			t.Errorf("%q holds the address", err)
		}
		if ok && newGuard([]netip.Prefix{netip.PrefixFrom(address, address.BitLen())}, nil).check(address) != nil {
			t.Errorf("%v is blocked though it is allowed", address)
		}
	})
}

// inward tells by other means than the table that an address, or the IPv4 address
// that it carries, is not public.
func inward(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() {
		return true
	}
	if a.Is4() {
		return false
	}
	raw := a.As16()
	carrier := raw[0] == 0x20 && raw[1] == 0x02 || raw[0] == 0 && raw[1] == 0x64
	return carrier || raw[0]>>5 != 1
}

// ruleFor names the rule that blocks an address; empty when none does.
func ruleFor(g guard, address netip.Addr) string {
	if refused := new(blockedError); errors.As(g.check(address), &refused) {
		return refused.rule
	}
	return ""
}
