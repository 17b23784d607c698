// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/condition"
)

// errFull is why a connection is refused.
var errFull = errors.New("every connection that may be open has a request under way")

// connections are those that came through a listener and are open. They are bounded: when
// one more comes, one that waits for a request gives way, first of those that have never
// made one. Whoever opens connections and says nothing so displaces his own. Only when all
// have a request under way is the new one refused.
//
// A connection that has made no request within the time for headers is closed, whatever it
// waits for: a handshake, a header, or a stream of HTTP/2.
type connections struct {
	net.Listener

	limits limits
	full   *condition.Condition

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is one of them.
type connection struct {
	net.Conn

	of    *connections
	asked atomic.Bool // it has made a request

	// Guarded by of.mu.
	first *time.Timer // ends it when it makes no request
	waits bool        // for a request
	since time.Time   // that it waits, or does not
}

func newConnections(l net.Listener, log *slog.Logger, limits limits) *connections {
	return &connections{
		Listener: l, limits: limits, open: make(map[*connection]struct{}),
		full: condition.NewShared(log.With("port", limits.port), slog.LevelWarn, "connections are refused"),
	}
}

// Accept implements [net.Listener].
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		admitted, displaced := c.admit(conn)
		if displaced != nil {
			_ = displaced.Close()
		}
		if admitted != nil {
			c.full.Worked(context.Background())
			return admitted, nil
		}
		_ = conn.Close()
		c.full.Failed(context.Background(), errFull, "most", c.limits.connections)
	}
}

// admit counts a new connection in, if it can, and tells which one gives way to it.
func (c *connections) admit(conn net.Conn) (admitted, displaced *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= c.limits.connections {
		if displaced = c.longestWaiting(); displaced == nil {
			return nil, nil
		}
		delete(c.open, displaced)
	}
	admitted = &connection{Conn: conn, of: c, waits: true, since: time.Now()}
	admitted.first = time.AfterFunc(c.limits.header, func() {
		if !admitted.asked.Load() {
			_ = admitted.Close()
		}
	})
	c.open[admitted] = struct{}{}
	return admitted, displaced
}

// longestWaiting is the connection that gives way to a new one, if there is one that waits.
func (c *connections) longestWaiting() *connection {
	var found *connection
	for conn := range c.open {
		if !conn.waits {
			continue
		}
		if found == nil || found.asked.Load() && !conn.asked.Load() ||
			found.asked.Load() == conn.asked.Load() && conn.since.Before(found.since) {
			found = conn
		}
	}
	return found
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.first.Stop()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// changed is for [http.Server]'s ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	one := admitted(conn)
	if one == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if waits := state == http.StateNew || state == http.StateIdle; waits != one.waits {
		one.waits, one.since = waits, time.Now()
	}
}

type connectionKey struct{}

// context is for [http.Server]'s ConnContext: it lets requests find their connection.
func (*connections) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, admitted(conn))
}

// noted takes note of a connection's first request.
func noted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connectionKey{}).(*connection); ok && conn != nil {
			conn.asked.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

// admitted is the connection below what net/http knows.
func admitted(conn net.Conn) *connection {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	found, _ := conn.(*connection)
	return found
}
