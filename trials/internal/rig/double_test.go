// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"mailpush.internal/trials/internal/rig"
)

func TestMain(m *testing.M) {
	if code, played := rig.Role(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func startDouble(t *testing.T) *rig.Double {
	t.Helper()
	double, err := rig.StartDouble(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := double.Close(); err != nil {
			t.Error(err)
		}
	})
	return double
}

// listener is in IDLE.
type listener struct {
	*tls.Conn
	lines *bufio.Reader
}

func listen(t *testing.T, double *rig.Double, box int, sessions tls.ClientSessionCache) *listener {
	t.Helper()
	ca, err := os.ReadFile(double.Store.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	conn, err := tls.Dial("tcp", double.Store.Address, &tls.Config{ServerName: "localhost", RootCAs: roots, ClientSessionCache: sessions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &listener{conn, bufio.NewReader(conn)}
	l.line(t)
	fmt.Fprintf(l, "a LOGIN %s pw\r\nb EXAMINE INBOX\r\nc IDLE\r\n", rig.Box(box))
	for l.line(t) != "+ idling" {
		continue
	}
	return l
}

func (l *listener) line(t *testing.T) string {
	t.Helper()
	_ = l.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := l.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestDoubleDoesWhatItIsTold(t *testing.T) {
	t.Parallel()
	double := startDouble(t)
	var listeners []*listener
	for box := range 3 {
		listeners = append(listeners, listen(t, double, box, nil))
	}
	if err := double.Deliver(rig.Mailing{First: 1, Boxes: 2, PerSecond: 1000}); err != nil {
		t.Fatal(err)
	}
	if told, err := double.Say("* OK Still here\r\n"); err != nil || told != 3 {
		t.Errorf("told %d, %v", told, err)
	}
	for box, want := range []string{"* OK Still here", "* 1 EXISTS", "* 1 EXISTS"} {
		if got := listeners[box].line(t); got != want {
			t.Errorf("box %d hears %q first, want %q", box, got, want)
		}
	}
	counts, err := double.Counts()
	if err != nil || counts.Idle != 3 || counts.Served != 3 || counts.Arrived != 3 || counts.Idles != 3 || counts.Logins != 3 || counts.Handshakes != 3 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}

func TestDoubleGivesTicketsWhenTold(t *testing.T) {
	t.Parallel()
	double := startDouble(t)
	sessions := tls.NewLRUClientSessionCache(1)
	for n, tickets := range []bool{false, false, true, true} {
		if err := double.GiveTickets(tickets); err != nil {
			t.Fatal(err)
		}
		state := listen(t, double, n, sessions).ConnectionState()
		if want := n == 3; state.DidResume != want || state.Version != tls.VersionTLS13 {
			t.Errorf("connection %d: resumed %v, version %x", n, state.DidResume, state.Version)
		}
		size := 0
		for _, certificate := range state.PeerCertificates {
			size += len(certificate.Raw)
		}
		if size < 3800 || size > 4000 {
			t.Errorf("the chain has %d bytes", size)
		}
	}
}

func TestDoubleThatIsNotStarted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if double, err := rig.StartDouble(ctx, t.TempDir()+"/absent"); err == nil {
		_ = double.Close()
		t.Error("started without its directory")
	}
}
