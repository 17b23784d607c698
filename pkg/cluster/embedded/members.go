// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"net"
	"strings"
)

// Places finds a free port for each of n members. The members must know each other's ports
// before any runs, so the ports are let go of just before the start.
func Places(n int) ([]Place, error) {
	out := make([]Place, n)
	peers := make([]string, n)
	for i := range out {
		//nolint:noctx // a listener on loopback does not block
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("reserving a port: %w", err)
		}
		//nolint:gocritic,revive // all are held until the last is known
		defer func() { _ = l.Close() }()
		out[i].Name = fmt.Sprintf("member-%d", i+1)
		out[i].PeerURL = "http://" + l.Addr().String()
		peers[i] = out[i].Name + "=" + out[i].PeerURL
	}
	for i := range out {
		out[i].Members = strings.Join(peers, ",")
	}
	return out, nil
}
