// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Odds are the shares of requests that receivers do not simply accept.
type Odds struct {
	Refuse   float64 // answered 503
	Throttle float64 // answered 429 with Retry-After
	Hang     float64 // not answered until the sender gives up
	Reset    float64 // cut off in the middle of the answer, the push forgotten
	Break    float64 // cut off in the middle of the answer, the push taken in
}

// trouble is what a receiver does to one request.
type trouble int

const (
	accept trouble = iota
	refuse
	throttle     // with the seconds to wait
	throttleDate // with the time to come back at
	hang
	reset
	breakOff
)

const (
	// longest is how long a receiver that hangs waits for the sender to give up. A worker
	// does after 15 s.
	longest = 20 * time.Second
	// comeBack is how long a throttled sender is told to wait.
	comeBack = time.Second
)

// side is one that dice fall on, with its share.
type side[T any] struct {
	share float64
	what  T
}

// dice draw what happens: one of their sides or, for what is left, the zero value. They
// are safe for concurrent use.
type dice[T any] struct {
	sides []side[T]

	mu     sync.Mutex
	random *rand.Rand
}

func newSides[T any](seed uint64, sides ...side[T]) *dice[T] {
	return &dice[T]{sides: sides, random: rand.New(rand.NewPCG(seed, seed))}
}

func newDice(odds Odds, seed uint64) *dice[trouble] {
	return newSides(seed,
		side[trouble]{odds.Refuse, refuse},
		side[trouble]{odds.Throttle / 2, throttle},
		side[trouble]{odds.Throttle / 2, throttleDate},
		side[trouble]{odds.Hang, hang},
		side[trouble]{odds.Reset, reset},
		side[trouble]{odds.Break, breakOff})
}

func (d *dice[T]) throw() T {
	d.mu.Lock()
	defer d.mu.Unlock()
	drawn := d.random.Float64()
	for _, side := range d.sides {
		if drawn < side.share {
			return side.what
		}
		drawn -= side.share
	}
	var other T
	return other
}

// takes tells whether the push is taken in.
func (t trouble) takes() bool { return t == accept || t == breakOff }

// answer answers a request whose body has been read.
func (t trouble) answer(w http.ResponseWriter, request *http.Request, longest time.Duration) {
	switch t {
	case accept:
		w.WriteHeader(http.StatusNoContent)
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
	case throttle:
		w.Header().Set("Retry-After", strconv.Itoa(int(comeBack/time.Second)))
		w.WriteHeader(http.StatusTooManyRequests)
	case throttleDate: // which has whole seconds only
		w.Header().Set("Retry-After", time.Now().Add(comeBack).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusTooManyRequests)
	case hang:
		enough := time.NewTimer(longest)
		defer enough.Stop()
		select {
		case <-enough.C:
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-request.Context().Done():
		}
	case reset, breakOff:
		cut(w)
	}
}

// cut resets the connection in the middle of an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable) // no connection that can be cut
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le") // nothing more is to come
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that closing is a reset
	}
	_ = conn.Close()
}
