// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package notify is where mail stores tell of new mail over HTTP: Dovecot's driver "ox"
// for push notifications, and whoever speaks as it does. A mail store delivers a mail no
// sooner than it is answered.
//
// Invariants: nothing is read of a stranger's request but its header; a request costs a
// bounded number of bytes and of seconds; what is well-formed is answered 200 whatever is
// down behind, for a mail store that is told of an error repeats itself or holds up mail;
// what is malformed is answered 400 with what is wrong.
package notify

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/services/listener-worker/internal/hints"
)

const (
	// Path is where notifications are taken.
	Path = "/preliminary/http-notify/v1/notify"
	// maxBody bounds a notification; those of Dovecot have one or two kilobytes.
	maxBody = 64 << 10
	// bodyTime is how long a notification may take to come in, and answerTime how long
	// its answer may take to go out.
	bodyTime   = 5 * time.Second
	answerTime = 5 * time.Second
)

// Config sets up an endpoint.
type Config struct {
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics
	// Backend is that of the listeners notifications are for.
	Backend string
	// Login is what a mail store authenticates with at this moment, if it does not by a
	// certificate; nil: nothing.
	Login func() Login
	// Take takes what a notification says; see [hints.Hub].
	Take func(ctx context.Context, hint hints.Hint) hints.Result
}

// result is what became of a request, the label in metrics.
type result string

const (
	taken        result = "taken"
	otherFolder  result = "other_folder"
	otherEvent   result = "other_event"
	malformed    result = "malformed"
	tooLarge     result = "too_large"
	unread       result = "unread"
	unauthorized result = "unauthorized"
	limited      result = "limited"
)

func results() []result {
	return []result{taken, otherFolder, otherEvent, malformed, tooLarge, unread, unauthorized, limited}
}

// Endpoint takes notifications. It is safe for concurrent use.
type Endpoint struct {
	cfg      Config
	strikes  strikes
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// New makes an endpoint.
func New(cfg Config) *Endpoint {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Login == nil {
		cfg.Login = func() Login { return Login{} }
	}
	f := promauto.With(cfg.Metrics)
	e := &Endpoint{
		cfg: cfg,
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_notify_requests_total",
			Help: "Notifications by mail stores over HTTP, by what became of them.",
		}, []string{"result"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "mailpush_worker_notify_seconds",
			Help:    "How long mail stores waited for the answer to a notification, with their mail.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 5},
		}),
	}
	for _, r := range results() {
		e.requests.WithLabelValues(string(r))
	}
	return e
}

// Handler serves notifications, by PUT as Dovecot sends them and by POST.
func (e *Endpoint) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("PUT "+Path, e)
	mux.Handle("POST "+Path, e)
	return mux
}

// ServeHTTP implements [http.Handler].
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	control := http.NewResponseController(w)
	// Where the connection knows no deadlines, the caller's patience is the bound.
	_ = control.SetReadDeadline(began.Add(bodyTime))
	_ = control.SetWriteDeadline(began.Add(bodyTime + answerTime))
	result := e.serve(w, r, began)
	e.requests.WithLabelValues(string(result)).Inc()
	e.seconds.Observe(time.Since(began).Seconds())
}

func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, at time.Time) result {
	if refused := e.authenticate(w, r, at); refused != "" {
		return refused
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooMany := new(http.MaxBytesError); errors.As(err, &tooMany) {
		return answer(w, http.StatusRequestEntityTooLarge, tooLarge, "a notification has 64 KiB at most")
	}
	if err != nil {
		return answer(w, http.StatusBadRequest, unread, "the notification did not come in whole, or in time")
	}
	said, err := parse(body)
	if err != nil {
		e.cfg.Log.DebugContext(r.Context(), "a notification was not understood", "reason", err)
		return answer(w, http.StatusBadRequest, malformed, err.Error())
	}
	switch {
	case !said.newMail():
		return answer(w, http.StatusOK, otherEvent, "ignored: only messageNew is heeded")
	case !said.inbox():
		return answer(w, http.StatusOK, otherFolder, "ignored: only INBOX is watched")
	}
	became := e.cfg.Take(r.Context(), said.hint(e.cfg.Backend, at))
	return answer(w, http.StatusOK, taken, string(became))
}

// answer answers with one line of text.
func answer(w http.ResponseWriter, status int, became result, text string) result {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // whoever has gone wants no answer
	return became
}
