// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/listen"
)

// Config sets up a Source.
type Config struct {
	// IMAP opens mailboxes where doveadm does not.
	IMAP listen.Source
	// Key is the doveadm API key of a mail store at this moment, if there is one.
	Key func(store string) (secret.String, bool)
	// Current tells whether the right to act for the users it is asked for is beyond doubt
	// at this moment; nothing is changed at a mail store otherwise.
	Current func() bool
	// StrayAfter is how long a mailbox must be announced that nobody listens to, before its
	// registration is taken back; 30 seconds when zero.
	StrayAfter time.Duration
	// Log receives what happens; nothing is logged when it is nil.
	Log *slog.Logger
	// Metrics registers the source's metrics; none are exported when it is nil.
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.StrayAfter <= 0 {
		c.StrayAfter = strayAfter
	}
	return c
}

// The results of dealing with a registration, as labels.
const (
	didSet    = "set"
	didRepair = "repaired"
	didUnset  = "unset"
	didFind   = "found"
	isForeign = "foreign"
	notKept   = "unsupported"
	didFail   = "failed"
)

type counters struct {
	registrations *prometheus.CounterVec
	posts         *prometheus.CounterVec
	fallbacks     prometheus.Counter
	unreadable    prometheus.Counter
}

func newCounters(r prometheus.Registerer) *counters {
	f := promauto.With(r)
	m := &counters{
		registrations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_registrations_total",
			Help: "Times that a mailbox's registration at Dovecot was looked at or changed, by what came of it.",
		}, []string{"result"}),
		posts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mailpush_worker_doveadm_posts_total",
			Help: "Requests to doveadm, each for several mailboxes, by how they ended: ok or why not.",
		}, []string{"result"}),
		fallbacks: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_doveadm_fallbacks_total",
			Help: "Mailboxes that were opened over IMAP because doveadm did not answer for them.",
		}),
		unreadable: f.NewCounter(prometheus.CounterOpts{
			Name: "mailpush_worker_doveadm_mails_unreadable_total",
			Help: "Mails that were announced with what is known of them, for doveadm cannot show their headers.",
		}),
	}
	for _, result := range []string{didSet, didRepair, didUnset, didFind, isForeign, notKept, didFail} {
		m.registrations.WithLabelValues(result)
	}
	return m
}
