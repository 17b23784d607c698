// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tap is a TCP proxy between worker and mail store that notes when each EXISTS
// passes, and counts what the mail store says. It is how the time of Dovecot's own
// notify delay is kept apart.
type tap struct {
	listener net.Listener
	target   string
	said     atomic.Int64 // bytes of the mail store

	mu    sync.Mutex
	seen  map[string]time.Time // login -> when its latest EXISTS passed
	conns map[net.Conn]struct{}
}

func newTap(ctx context.Context, target string) (*tap, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the tap: %w", err)
	}
	t := &tap{listener: listener, target: target, seen: map[string]time.Time{}, conns: map[net.Conn]struct{}{}}
	go t.accept()
	return t, nil
}

func (t *tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", t.target) //nolint:noctx // ends with close
		if err != nil {
			_ = client.Close()
			continue
		}
		t.mu.Lock()
		t.conns[client], t.conns[server] = struct{}{}, struct{}{}
		t.mu.Unlock()
		login := make(chan string, 1)
		go t.toServer(client, server, login)
		go t.toClient(server, client, login)
	}
}

// toServer copies what the client says and finds out who it is.
func (t *tap) toServer(client, server net.Conn, login chan<- string) {
	defer server.Close()
	buffer := make([]byte, 32<<10)
	for known := false; ; {
		n, err := client.Read(buffer)
		if n > 0 && !known {
			if name := loginIn(buffer[:n]); name != "" {
				login <- name
				known = true
			}
		}
		if _, werr := server.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (t *tap) toClient(server, client net.Conn, login <-chan string) {
	defer client.Close()
	buffer, name := make([]byte, 32<<10), ""
	for {
		n, err := server.Read(buffer)
		t.said.Add(int64(n))
		if bytes.Contains(buffer[:n], []byte(" EXISTS\r\n")) {
			at := time.Now()
			if name == "" {
				name = <-login // EXISTS comes after the login
			}
			t.mu.Lock()
			t.seen[name] = at
			t.mu.Unlock()
		}
		if _, werr := client.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

// lastExists returns when the latest EXISTS for login passed.
func (t *tap) lastExists(login string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[login]
}

func (t *tap) close() {
	_ = t.listener.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	for conn := range t.conns {
		_ = conn.Close()
	}
}

// loginIn finds the user of an AUTHENTICATE PLAIN (RFC 4616) in what a client said,
// empty when there is none.
func loginIn(said []byte) string {
	for word := range strings.FieldsSeq(string(said)) {
		raw, err := base64.StdEncoding.DecodeString(word)
		if parts := strings.Split(string(raw), "\x00"); err == nil && len(parts) == 3 {
			return parts[1]
		}
	}
	return ""
}
