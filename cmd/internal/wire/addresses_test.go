// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		return addresses.BindPackets(t.Context(), "worker.mailnotify", network, address)
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
