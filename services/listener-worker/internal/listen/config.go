// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/services/listener-worker/internal/listen/machine"
)

const (
	defaultConnects   = 64
	operationsPerLoop = 256
)

// Config sets up a Loop. Only Sources is needed.
type Config struct {
	// Sources open mailboxes, each those of the mail stores that name it as their backend.
	Sources map[string]Source
	// Log receives what happens; nothing is logged when it is nil.
	Log *slog.Logger
	// Metrics registers the loop's metrics; none are exported when it is nil.
	Metrics prometheus.Registerer
	// Connects bounds how many connections are being opened at once, 64 when zero.
	// One mail store gets at most half of them, so that a hanging one leaves room.
	Connects int
	// Workers counts the workers that share the mail stores' limits, this one included;
	// it may block. Nil stands for this one alone.
	Workers func(context.Context) (int, error)
	// ReconcileAfter is how old the proof of where a mailbox ends must be before the mail
	// store is asked without a hint; 10 seconds when zero.
	ReconcileAfter time.Duration
	// Tuning overrides the listeners' times. IdleRefresh and PollInterval count only
	// for mail stores that do not say their own.
	Tuning machine.Settings
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Connects <= 0 {
		c.Connects = defaultConnects
	}
	if c.ReconcileAfter <= 0 {
		c.ReconcileAfter = defaultReconcileAfter
	}
	if c.Tuning.Jitter == nil {
		c.Tuning.Jitter = jitter
	}
	return c
}
