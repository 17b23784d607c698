// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"strings"
	"sync"
)

// road leads to etcd and can be cut for good: for etcd, whoever uses it has crashed.
type road struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	gone  bool
	open  []net.Conn
	ended sync.WaitGroup
}

func newRoad(endpoint string) (*road, error) {
	//nolint:noctx // a listener on loopback does not block
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &road{l: l, target: strings.TrimPrefix(endpoint, "unix://")}
	r.ended.Go(r.serve)
	return r, nil
}

func (r *road) addr() string { return r.l.Addr().String() }

func (r *road) serve() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		//nolint:noctx // a socket of this machine does not block
		out, err := net.Dial("unix", r.target)
		if err != nil || !r.keep(in, out) {
			_ = in.Close()
			continue
		}
		r.ended.Go(func() { _, _ = io.Copy(out, in) })
		r.ended.Go(func() { _, _ = io.Copy(in, out) })
	}
}

func (r *road) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, conns...)
	return !r.gone
}

// cut ends all connections and takes no more. A second call does nothing.
func (r *road) cut() {
	_ = r.l.Close()
	r.mu.Lock()
	r.gone = true
	for _, conn := range r.open {
		_ = conn.Close()
	}
	r.open = nil
	r.mu.Unlock()
	r.ended.Wait()
}
