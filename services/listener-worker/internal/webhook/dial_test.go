// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// nameServer answers DNS queries over UDP until the test ends, with whatever
// addresses are told for a name. It returns a resolver that asks nobody else.
func nameServer(t *testing.T, addresses func(name string, kind dnsmessage.Type) []netip.Addr) *net.Resolver {
	t.Helper()
	socket, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(packet)
			if err != nil {
				return // closed
			}
			answer, err := reply(packet[:n], addresses)
			if err != nil {
				t.Errorf("answering a query: %v", err)
			}
			_, _ = socket.WriteTo(answer, from)
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func reply(query []byte, addresses func(name string, kind dnsmessage.Type) []netip.Addr) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	question := message.Questions[0]
	for _, address := range addresses(question.Name.String(), question.Type) {
		header := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET} // TTL 0
		switch {
		case question.Type == dnsmessage.TypeA && address.Is4():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case question.Type == dnsmessage.TypeAAAA && !address.Is4():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return message.Pack()
}

// fixed answers with the same addresses whatever is asked.
func fixed(texts ...string) func(string, dnsmessage.Type) []netip.Addr {
	addresses := make([]netip.Addr, 0, len(texts))
	for _, text := range texts {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return func(string, dnsmessage.Type) []netip.Addr { return addresses }
}

// trap is a receiver at an address of ours that counts its connections.
type trap struct {
	port        string
	connections atomic.Int32
}

func serveAt(t *testing.T, address string) *trap {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e := new(trap)
	_, e.port, _ = net.SplitHostPort(listener.Addr().String())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // every push dials, and so resolves, anew
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			e.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return e
}

// However loopback is written, and whatever a hostile name server makes of it, the
// address that is dialled is what counts.
func TestHostsOfEveryFormEndAtTheGuard(t *testing.T) {
	t.Parallel()
	trap := serveAt(t, "127.0.0.1:0")
	resolver := nameServer(t, fixed("127.0.0.1"))
	guarded := client(t, webhook.Config{Resolver: resolver, AllowPrivate: prefixes("198.51.100.0/24")})
	open := client(t, webhook.Config{Resolver: resolver})
	for _, host := range []string{
		"127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:FFFF:127.0.0.1]",
		"localhost", "LOCALHOST.", "ｌｏｃａｌｈｏｓｔ", "127.0.0.1.",
		"１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1",
		"bücher.example", "xn--bcher-kva.example.", "inside.example", "127.0.0.1.example.",
	} {
		target := push("http://" + host + ":" + trap.port + "/hook")
		result := guarded.Send(t.Context(), target)
		if want := "the endpoint's address is not allowed: loopback"; result.Class != transport.Misconfigured || result.Detail != want {
			t.Errorf("%s: %+v, want %q", host, result, want)
		}
		if n := trap.connections.Swap(0); n != 0 {
			t.Errorf("%s: %d connections were made", host, n)
		}
		if result := open.Send(t.Context(), target); result.Class != transport.OK || trap.connections.Swap(0) != 1 {
			t.Errorf("%s does not lead to loopback where that is allowed: %+v", host, result)
		}
	}
}

// Some resolvers read hosts that end in a number as addresses, others as names: nothing is
// sent there.
func TestHostsOfDigits(t *testing.T) {
	t.Parallel()
	trap := serveAt(t, "127.0.0.1:0")
	for _, resolver := range []*net.Resolver{nil, nameServer(t, fixed("127.0.0.1"))} {
		sender := client(t, webhook.Config{Resolver: resolver, AllowPrivate: prefixes("198.51.100.0/24")})
		for _, host := range []string{"2130706433", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0", "0x7f000001", "0x7f.0x0.0x0.0x1", "0x7f.1"} {
			result := sender.Send(t.Context(), push("http://"+host+":"+trap.port+"/hook"))
			if result.Class != transport.Misconfigured || result.Detail != "the endpoint's URL has no valid host" || !result.Unanswered || result.Unreached {
				t.Errorf("%s: %+v", host, result)
			}
			if n := trap.connections.Swap(0); n != 0 {
				t.Errorf("%s: %d connections were made", host, n)
			}
		}
	}
}

func TestNamesOfBlockedAddresses(t *testing.T) {
	t.Parallel()
	for address, rule := range map[string]string{
		"0.0.0.0": "unspecified", "10.0.0.1": "private", "169.254.169.254": "cloud metadata", "fd00:ec2::254": "cloud metadata",
		"::1": "loopback", "::127.0.0.1": "IPv4-compatible", "64:ff9b::7f00:1": "NAT64", "2002:7f00:1::": "6to4", "fec0::1": "site-local",
	} {
		resolver := nameServer(t, fixed(address))
		literal := netip.AddrPortFrom(netip.MustParseAddr(address), 1).String()
		for _, host := range []string{"inside.example:1", literal} {
			result := client(t, webhook.Config{Resolver: resolver, AllowPrivate: prefixes("127.0.0.0/8")}).Send(t.Context(), push("http://"+host+"/"))
			if want := "the endpoint's address is not allowed: " + rule; result.Class != transport.Misconfigured || result.Detail != want {
				t.Errorf("%s for %s: %+v, want %q", host, address, result, want)
			}
		}
	}
}

// A name whose first answer may be dialled and whose second may not: the second is
// never connected to. 127.0.0.2, let through by the allow-list, stands for the public
// address, so that the test stays on this machine.
func TestRebindingNeverConnects(t *testing.T) {
	t.Parallel()
	trap := serveAt(t, "127.0.0.1:0")
	public := serveAt(t, "127.0.0.2:"+trap.port)
	var asked atomic.Int32
	resolver := nameServer(t, func(_ string, kind dnsmessage.Type) []netip.Addr {
		if kind != dnsmessage.TypeA {
			return nil
		}
		if asked.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	sender := client(t, webhook.Config{Resolver: resolver, AllowPrivate: prefixes("127.0.0.2/32")})
	target := push("http://rebind.example.:" + trap.port + "/hook")
	if result := sender.Send(t.Context(), target); result.Class != transport.OK || public.connections.Load() != 1 {
		t.Fatalf("the first answer: %+v", result)
	}
	for range 3 {
		if result := sender.Send(t.Context(), target); result.Class != transport.Misconfigured {
			t.Errorf("a later answer: %+v", result)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("the name was asked for %d times, want once for each push", n)
	}
	if n := trap.connections.Load(); n != 0 {
		t.Errorf("%d connections were made to the second answer", n)
	}
}

// An answer of several addresses: those that are blocked are passed over.
func TestEachAddressOfANameIsJudged(t *testing.T) {
	t.Parallel()
	trap := serveAt(t, "127.0.0.1:0")
	public := serveAt(t, "127.0.0.2:"+trap.port)
	resolver := nameServer(t, fixed("127.0.0.1", "::1", "127.0.0.2"))
	sender := client(t, webhook.Config{Resolver: resolver, AllowPrivate: prefixes("127.0.0.2/32")})
	if result := sender.Send(t.Context(), push("http://both.example.:"+trap.port+"/")); result.Class != transport.OK {
		t.Errorf("result %+v", result)
	}
	if a, b := trap.connections.Load(), public.connections.Load(); a != 0 || b != 1 {
		t.Errorf("%d connections to the blocked address, %d to the other", a, b)
	}
}

func TestUnansweredTellsNoHost(t *testing.T) {
	t.Parallel()
	closed := serveAt(t, "127.0.0.2:0").port // nobody listens there on 127.0.0.1
	banner := bannerServer(t, strings.Repeat("SSH-2.0-Grüße ", 100)+"\r\n")
	for name, c := range map[string]struct{ url, answer, detail string }{
		"unknown name":  {"http://token-hidden.example.:1/", "", "no answer: the host's name is not known"},
		"nobody there":  {"http://token-hidden.example.:" + closed + "/?hidden", "127.0.0.1", "no answer: dial: connect: connection refused"},
		"no HTTP there": {"http://token-hidden.example.:" + banner + "/", "127.0.0.1", ""},
	} {
		addresses := fixed()
		if c.answer != "" {
			addresses = fixed(c.answer)
		}
		result := client(t, webhook.Config{Resolver: nameServer(t, addresses)}).Send(t.Context(), push(c.url))
		if result.Class != transport.Retry || strings.Contains(result.Detail, "hidden") || strings.Contains(result.Detail, "127.0.0.1") ||
			c.detail != "" && result.Detail != c.detail || len(result.Detail) > 200 {
			t.Errorf("%s: %+v, want %q", name, result, c.detail)
		}
	}
}

// bannerServer greets each connection and closes it.
func bannerServer(t *testing.T, banner string) (port string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // closed
			}
			_, _ = connection.Write([]byte(banner))
			_ = connection.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}
