// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

var (
	errNotIMAP = errors.New("not IMAP")
	errFlood   = errors.New("more bytes than any honest answer has")
)

// wire is the connection beneath the IMAP client. It holds the deadlines and the
// byte budget of the operation in flight, which the client knows nothing of, and
// remembers the first error: everything after it fails the same way.
type wire struct {
	net.Conn          // TLS or TCP
	tcp      net.Conn // what to close: closing TLS may block on a deaf peer
	lost     func()   // called, once, when the wire fails with no operation in flight

	mu     sync.Mutex
	ahead  []byte // read before the client took over
	step   string // what is being waited for, as people call it
	limit  time.Duration
	left   int64 // bytes that may still come
	busy   bool  // an operation is in flight
	closed bool  // by us
	told   bool  // lost was called
	err    error // sticky
	bye    string

	guard guard // of the client's reader alone
}

// begin gives the next step its time and its bytes.
func (w *wire) begin(step string, limit time.Duration, budget int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step, w.limit, w.left, w.busy = step, limit, budget, true
	w.deadline(limit)
}

// rest ends an operation: until the next one the wire may be silent for so long.
func (w *wire) rest(step string, silence time.Duration, budget int64) {
	w.mu.Lock()
	w.step, w.limit, w.left, w.busy = step, silence, budget, false
	w.deadline(silence)
	tell := w.failedUntold()
	w.mu.Unlock()
	if tell {
		w.lost()
	}
}

// deadline errors mean a closed connection, which the next read reports better.
func (w *wire) deadline(d time.Duration) { _ = w.SetConnDeadline(time.Now().Add(d)) }

// SetConnDeadline sets the deadline of the connection itself.
func (w *wire) SetConnDeadline(t time.Time) error { return w.Conn.SetDeadline(t) }

// SetDeadline is what the IMAP client calls; its fixed deadlines are not ours.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline is ignored like SetDeadline.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is ignored like SetDeadline.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Read reads within the budget.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	if w.err != nil {
		defer w.mu.Unlock()
		return 0, w.err
	}
	if len(w.ahead) > 0 {
		n := copy(p, w.ahead)
		w.guard.clean(p[:n])
		if w.ahead = w.ahead[n:]; len(w.ahead) == 0 {
			w.ahead = nil
		}
		w.mu.Unlock()
		return n, nil
	}
	w.mu.Unlock()

	n, err := w.Conn.Read(p)
	w.guard.clean(p[:n])
	w.mu.Lock()
	w.left -= int64(n)
	if err == nil && w.left < 0 {
		err = errFlood
	}
	if bye := byeText(p[:n]); bye != "" {
		w.bye = bye
	}
	w.mu.Unlock()
	if err != nil {
		return n, w.fail(err)
	}
	return n, nil
}

// Write writes, unless the wire has failed.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	err := w.err
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		err = w.fail(err)
	}
	return n, err
}

// Close is called by the IMAP client when it gives up: on the end of the
// connection, which is known already, or because it does not understand the peer.
func (w *wire) Close() error {
	_ = w.fail(errNotIMAP)
	return w.tcp.Close()
}

// shut is how we close: what happens then is no failure to tell of.
func (w *wire) shut() {
	w.mu.Lock()
	w.closed = true
	if w.err == nil {
		w.err = net.ErrClosed
	}
	w.mu.Unlock()
	_ = w.tcp.Close() // nothing is left to be said on it
}

// fail records the first error and returns it.
func (w *wire) fail(err error) error {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	err = w.err
	tell := !w.busy && w.failedUntold()
	w.mu.Unlock()
	if tell {
		w.lost()
	}
	return err
}

func (w *wire) failedUntold() bool {
	tell := w.err != nil && !w.told && !w.closed
	w.told = w.told || tell
	return tell
}

// byeText finds what a server says with its last breath (RFC 9051 section
// 7.1.5); the IMAP client does not hand it on.
func byeText(p []byte) string {
	at := bytes.Index(p, []byte("* BYE "))
	if at < 0 || at > 0 && p[at-1] != '\n' {
		return ""
	}
	line, _, _ := bytes.Cut(p[at+len("* BYE "):], []byte("\r\n"))
	return plain(string(line))
}

var _ io.ReadWriteCloser = (*wire)(nil)
