// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/http"
	"time"
)

// limits are what a port bears of whoever reaches it. They hold for all of its handlers,
// before any of them is asked: a handler that is added is bounded, too.
type limits struct {
	// port is what the log calls it.
	port string
	// connections are how many are open at a time.
	connections int
	// header is how long a connection has from its first packet to its first request, TLS
	// handshake included, and each later request for its header.
	header time.Duration
	// body is how long a request may take to come in after its header.
	body time.Duration
}

const (
	headerTime = 10 * time.Second
	// bodyTime lets 1 MiB, the most that the public may send, come in at 280 kbit/s.
	bodyTime = 30 * time.Second
	// maxConnections leaves each of 1,000 workers four: one that is in use, one that ends,
	// and the same again while workers are replaced.
	maxConnections = 4096
	// maxOpsConnections is far more than there are probes and collectors of metrics.
	maxOpsConnections = 256

	maxHeaderBytes = 64 << 10
	idleTimeout    = 2 * time.Minute
)

func callLimits(port string) limits {
	return limits{port: port, connections: maxConnections, header: headerTime, body: bodyTime}
}

func opsLimits() limits {
	return limits{port: "health and metrics", connections: maxOpsConnections, header: headerTime, body: bodyTime}
}

// http2 bounds what one connection of HTTP/2 may keep going. Go's own defaults are named
// where they suit, so that they do not change beneath us.
func http2() *http.HTTP2Config {
	return &http.HTTP2Config{
		// Go's default. A service calls another over one connection: fewer would hold up a
		// worker's commits behind each other.
		MaxConcurrentStreams: 250,
		// A frame is held whole: large ones save a caller nothing.
		MaxReadFrameSize: 64 << 10,
		// What a caller may send before a handler reads it, in all its streams: 4,096
		// connections cannot hold more than 1 GiB by this.
		MaxReceiveBufferPerConnection: 256 << 10,
		MaxReceiveBufferPerStream:     256 << 10,
		// A caller that takes no answers is not waited for.
		WriteByteTimeout: bodyTime,
	}
}

// timed ends the reading of a body that has not come in whole within a time. It bounds
// reading alone: a call that has been read takes the time it takes, for net/http lifts the
// deadline with the last byte. Without a body it has done so already and watches the
// connection: a deadline that passed would be taken for a caller that has left.
func timed(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// Connections of both versions know deadlines.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
		}
		next.ServeHTTP(w, r)
	})
}
