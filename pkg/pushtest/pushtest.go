// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package pushtest receives pushes: a webhook endpoint on loopback for tests, the demo,
// trials and benchmarks. It knows what an integrator knows, the documented body and the
// public Standard Webhooks library, and nothing of mailpush's own code.
//
// Invariant: a push can be waited for before it is answered, whatever its answer.
package pushtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// headerTimeout bounds the reading of a header. Nothing else is bounded: an answer may
	// be long in coming, and a connection idle.
	headerTimeout = 10 * time.Second
	// maxBytes bounds its body.
	maxBytes = 1 << 20
)

// Options say what a Receiver does. Their zero value accepts every push on a free port.
type Options struct {
	Address string      // host:port; a free port of 127.0.0.1 when empty
	TLS     *tls.Config // with a certificate; nil: plain HTTP
	Answer  Answer      // nil: Accept
	// Forget has the receiver keep nothing, for an Answer that does so itself: Next and
	// All find nothing then.
	Forget bool
	// Discard has bodies thrown away, for measurements that must not pay for reading
	// them: pushes have no Body, Type and Data then.
	Discard bool
}

// Answer answers a push. The request's body has been read. It may hijack the connection,
// or wait for the end of the request's context. It is called side by side.
type Answer func(w http.ResponseWriter, request *http.Request, push *Push)

// Receiver is a webhook endpoint with as many paths as one likes. It is safe for
// concurrent use.
type Receiver struct {
	url     string
	server  *http.Server
	serving sync.WaitGroup // the server, all connections and all requests
	forget  bool
	discard bool

	mu     sync.Mutex
	answer Answer
	all    []*Push
	fresh  []*Push       // that Next has not returned
	came   chan struct{} // closed at the next push
}

// New starts a receiver. The caller calls Close.
func New(o Options) (*Receiver, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", o.Address) //nolint:noctx // listening on loopback does not block
	if err != nil {
		return nil, fmt.Errorf("starting a receiver of pushes: %w", err)
	}
	r := &Receiver{url: "http://" + listener.Addr().String(), forget: o.Forget, discard: o.Discard, came: make(chan struct{})}
	if o.TLS != nil {
		r.url = "https://" + listener.Addr().String()
		listener = tls.NewListener(listener, o.TLS)
	}
	r.AnswerWith(o.Answer)
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: headerTimeout, ConnState: r.connection}
	if o.TLS != nil { // a handshake that fails is for the sender to tell of
		r.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	}
	r.serving.Go(func() { _ = r.server.Serve(listener) }) // until Close
	return r, nil
}

// TB is what Start needs of a [testing.TB]. This package does not import that one: the
// demo is part of a program.
type TB interface {
	Helper()
	Cleanup(clean func())
	Fatal(args ...any)
}

// Start starts a receiver that accepts everything and ends with the test.
func Start(tb TB) *Receiver {
	tb.Helper()
	r, err := New(Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// URL is where the paths begin, without a slash at its end.
func (r *Receiver) URL() string { return r.url }

// Close ends the receiver, cuts what is open, and waits for every Answer to return.
func (r *Receiver) Close() {
	_ = r.server.Close() // what is open is cut, and that is all
	r.serving.Wait()
}

// AnswerWith answers pushes in another way from now on; nil means Accept.
func (r *Receiver) AnswerWith(answer Answer) {
	if answer == nil {
		answer = Accept
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Accept takes a push and consents to a ping, by its challenge.
func Accept(w http.ResponseWriter, _ *http.Request, push *Push) {
	if push.Type == TypePing {
		_, _ = io.WriteString(w, push.Data.Challenge) // the sender is gone, or reads it
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Refuse answers every push with a status.
func Refuse(status int) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ *Push) { w.WriteHeader(status) }
}

func (r *Receiver) serve(w http.ResponseWriter, request *http.Request) {
	r.serving.Add(1)
	defer r.serving.Done()
	at := time.Now()
	push := &Push{At: at, Path: strings.TrimPrefix(request.URL.Path, "/"), Header: request.Header}
	if err := r.read(push, http.MaxBytesReader(w, request.Body, maxBytes)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest) // the sender is gone, or says too much
		return
	}
	r.take(push)(w, request, push)
}

func (r *Receiver) read(push *Push, body io.Reader) error {
	var err error
	if r.discard {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if push.Body, err = io.ReadAll(body); err == nil {
		push.Err = push.decode()
	}
	return err
}

// connection counts the connections that the server has to do with.
func (r *Receiver) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.serving.Add(1)
	case http.StateHijacked, http.StateClosed:
		r.serving.Done()
	default: // it goes on
	}
}

// take keeps a push and returns how to answer it.
func (r *Receiver) take(push *Push) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.forget {
		r.all, r.fresh = append(r.all, push), append(r.fresh, push)
		close(r.came)
		r.came = make(chan struct{})
	}
	return r.answer
}

// Next waits for a push that matches all of some conditions, and returns the first that
// it has not returned yet.
func (r *Receiver) Next(ctx context.Context, matching ...Match) (*Push, error) {
	for {
		push, came := r.next(matching)
		if push != nil {
			return push, nil
		}
		select {
		case <-came:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waiting for a push: %w", ctx.Err()), r.others())
		}
	}
}

func (r *Receiver) next(matching []Match) (*Push, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, push := range r.fresh {
		if push.is(matching) {
			r.fresh = slices.Delete(r.fresh, n, n+1)
			return push, nil
		}
	}
	return nil, r.came
}

// others tells what came instead of a push that did not.
func (r *Receiver) others() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fresh) == 0 {
		return nil
	}
	last := r.fresh[len(r.fresh)-1]
	return fmt.Errorf("%d others came, the last to /%s: %s", len(r.fresh), last.Path, last.Body)
}

// All returns every push until now that matches all of some conditions, in the order of
// their arrival.
func (r *Receiver) All(matching ...Match) []*Push {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*Push
	for _, push := range r.all {
		if push.is(matching) {
			found = append(found, push)
		}
	}
	return found
}
