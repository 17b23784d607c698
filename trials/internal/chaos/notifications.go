// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/proctest"
	"mailpush.internal/trials/internal/rig"
)

// NotifyOdds are the shares of Dovecot's notifications that do not simply reach a worker.
// What goes to a worker that is away is lost beside them.
type NotifyOdds struct {
	Late   float64 // reaches a worker after a while, half of them after Dovecot has given up
	Refuse float64 // answered 503, and lost
	Drop   float64 // lost: half of them cut off, half answered as if they were not
	Twice  float64 // reaches two workers
}

// fate is what becomes of one notification.
type fate int

const (
	pass fate = iota
	delay
	delayLong
	refuseIt
	cutOff
	swallow
	passTwice
)

const (
	// shortDelay is one that Dovecot waits for, longDelay one that it does not: it gives up
	// after 300 ms.
	shortDelay = 100 * time.Millisecond
	longDelay  = 600 * time.Millisecond
	// maxNotification bounds what is read of a notification.
	maxNotification = 64 << 10
	notifyName      = "dove"
	notifyPath      = "/preliminary/http-notify/v1/notify"
	closeTimeout    = 5 * time.Second
	// notifyHost is one that connections do not come from: its port is still free when an
	// outage ends. longestOutage bounds how long that takes.
	notifyHost    = "127.0.0.4"
	longestOutage = time.Second
)

func newFates(odds NotifyOdds, seed uint64) *dice[fate] {
	return newSides(seed,
		side[fate]{odds.Late / 2, delay}, side[fate]{odds.Late / 2, delayLong}, side[fate]{odds.Refuse, refuseIt},
		side[fate]{odds.Drop / 2, cutOff}, side[fate]{odds.Drop / 2, swallow}, side[fate]{odds.Twice, passTwice})
}

// notifications are the way that Dovecot's notifications take to the workers, each to the
// next one in turn, whether it is there or away. They are safe for concurrent use.
type notifications struct {
	dice     *dice[fate]
	address  string          // where Dovecot finds it
	stopping context.Context // done when notifications are held up no longer
	stop     context.CancelFunc

	workers []*httputil.ReverseProxy
	next    atomic.Uint64

	mu     sync.Mutex
	server *http.Server // the newest; nil before there was one
	served sync.WaitGroup
	err    error // of serving

	came, lost, late atomic.Int64
}

// newNotifications finds a place for notifications; none is taken there before serve.
func newNotifications(ctx context.Context, dice *dice[fate]) (*notifications, error) {
	free, err := proctest.FreeAddresses(ctx, notifyHost, 1)
	if err != nil {
		return nil, err
	}
	n := &notifications{dice: dice, address: free[0]}
	n.stopping, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	return n, nil
}

// url is where Dovecot sends them, with the password of the workers.
func (n *notifications) url(password string) string {
	at := url.URL{Scheme: "http", User: url.UserPassword(notifyName, password), Host: n.address, Path: notifyPath}
	return at.String()
}

// serve passes notifications on to workers at these addresses from now on.
func (n *notifications) serve(ctx context.Context, addresses []string) error {
	for _, address := range addresses {
		target := &url.URL{Scheme: "http", Host: address}
		n.workers = append(n.workers, &httputil.ReverseProxy{
			Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { // killed, or not back yet
				n.lost.Add(1)
				w.WriteHeader(http.StatusBadGateway)
			},
		})
	}
	return n.open(ctx)
}

// open takes connections.
func (n *notifications) open(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", n.address)
	if err != nil {
		return fmt.Errorf("listening for notifications: %w", err)
	}
	server := &http.Server{Handler: n, ReadHeaderTimeout: longest, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = server
	n.served.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.err = errors.Join(n.err, fmt.Errorf("serving notifications: %w", err))
		}
	})
	return nil
}

// current is the server that takes connections, or has done so last.
func (n *notifications) current() *http.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// outages are times in which connections are refused and those that there are end, as many
// as it is told, spread over a length of time.
func (n *notifications) outages(ctx context.Context, random *rand.Rand, times int, length time.Duration, tell func(format string, args ...any)) error {
	for range times {
		pause := time.Duration((0.5 + random.Float64()) * float64(length) / float64(times))
		away := time.Duration(random.Float64() * float64(longestOutage))
		if err := rig.Pause(ctx, pause); err != nil {
			return err
		}
		tell("notifications are refused for %.1f s", away.Seconds())
		_ = n.current().Close() // what it complains of are connections that it ends anyway
		if err := rig.Pause(ctx, away); err != nil {
			return err
		}
		if err := n.open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (n *notifications) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	n.came.Add(1)
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxNotification))
	if err != nil {
		n.lost.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// What is late goes on its way after Dovecot has given up, too.
	request = request.WithContext(n.stopping)
	switch what := n.dice.throw(); what {
	case refuseIt:
		n.lost.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	case cutOff:
		n.lost.Add(1)
		cut(w)
	case swallow:
		n.lost.Add(1)
		w.WriteHeader(http.StatusOK)
	case delay, delayLong:
		n.late.Add(1)
		_ = rig.Pause(n.stopping, map[fate]time.Duration{delay: shortDelay, delayLong: longDelay}[what]) // at the end nobody waits
		n.pass(w, request, body)
	case passTwice:
		n.came.Add(1)
		n.pass(discarded{}, request, body)
		n.pass(w, request, body)
	case pass:
		n.pass(w, request, body)
	}
}

// pass passes a notification on to the next worker.
func (n *notifications) pass(w http.ResponseWriter, request *http.Request, body []byte) {
	request.Body = io.NopCloser(bytes.NewReader(body))
	n.workers[n.next.Add(1)%uint64(len(n.workers))].ServeHTTP(w, request)
}

// discarded is an answer that nobody gets.
type discarded struct{}

// Header implements [http.ResponseWriter].
func (discarded) Header() http.Header { return make(http.Header) }

// Write implements [http.ResponseWriter].
func (discarded) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements [http.ResponseWriter].
func (discarded) WriteHeader(int) {}

// count is how many there were, and how many of them got lost or were late.
func (n *notifications) count() (came, lost, late int) {
	return int(n.came.Load()), int(n.lost.Load()), int(n.late.Load())
}

// close ends it and what it holds up. Whoever sends notifications has ended.
func (n *notifications) close() error {
	n.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var err error
	if server := n.current(); server != nil {
		err = server.Shutdown(ctx)
	}
	n.served.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(err, n.err)
}
