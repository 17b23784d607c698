// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/wire"
)

func TestDatagramSocketsAreBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "notify"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := new(wire.Addresses)
	bind := func(network, address string) (net.PacketConn, error) {
		return addresses.BindPackets(t.Context(), "worker.mailnotify", network, address, "")
	}
	for range 2 { // a process that was killed leaves its socket behind
		socket, err := bind("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := bind("unixgram", file); err == nil || !strings.Contains(err.Error(), "listening as worker.mailnotify says") {
		t.Errorf("in the place of a file: %v", err)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "kept" {
		t.Errorf("the file is %q, %v", kept, err)
	}
	socket, err := bind("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if _, err := bind("udp", socket.LocalAddr().String()); err == nil {
		t.Error("an address was bound twice")
	}
}

// A datagram to a multicast group arrives where the group was joined.
func TestAMulticastGroupIsJoined(t *testing.T) {
	t.Parallel()
	loopback := loopbackInterface(t)
	addresses := new(wire.Addresses)
	socket, err := addresses.BindPackets(t.Context(), "worker.mailnotify", "udp", "239.255.71.13:0", loopback.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	sender := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		at := &syscall.IPMreqn{Ifindex: int32(loopback.Index)}
		controlled := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptIPMreqn(int(fd), syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, at)
		})
		return errors.Join(controlled, err)
	}}
	conn, err := sender.DialContext(t.Context(), "udp", socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("MAIL")); err != nil {
		t.Fatal(err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 16)
	if n, _, err := socket.ReadFrom(buffer); err != nil || string(buffer[:n]) != "MAIL" {
		t.Errorf("received %q, %v", buffer[:n], err)
	}
	if _, err := addresses.BindPackets(t.Context(), "worker.mailnotify", "udp", "239.255.71.13:0", "absent0"); err == nil ||
		!strings.Contains(err.Error(), `interface "absent0"`) {
		t.Errorf("at an interface that is not there: %v", err)
	}
}

func loopbackInterface(t *testing.T) net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Flags&net.FlagLoopback != 0 {
			return one
		}
	}
	t.Fatal("this machine has no loopback interface")
	return net.Interface{}
}
