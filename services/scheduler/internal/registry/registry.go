// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package registry asks the registry of users for the loads of the shards. Invariant:
// what it was last told stays until it is told anew, so that a registry that is away
// stops no scheduling.
package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/shard"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/services/scheduler/internal/assign"
)

const (
	// callTimeout bounds one call.
	callTimeout = 10 * time.Second
	// spacing is the least time between two calls, and costShare the part of its time
	// the registry may at most spend on counting for us.
	spacing   = time.Second
	costShare = 0.05
	// retryAfter is the wait after a call that failed.
	retryAfter = time.Second
)

// Loads keeps the loads of the shards.
type Loads struct {
	registry registryv1connect.RegistryServiceClient
	log      *slog.Logger
	last     atomic.Pointer[known]
	asking   sync.Mutex // held while the registry counts: it need not do so twice at once
	// installation is nil until the registry has told; an older release cannot.
	installation atomic.Pointer[string]
}

// known is an answer and its time.
type known struct {
	loads assign.Loads
	at    time.Time
}

// New returns Loads without any; Run gets them.
func New(client connect.HTTPClient, log *slog.Logger, metrics prometheus.Registerer) (*Loads, error) {
	l := &Loads{registry: registryv1connect.NewRegistryServiceClient(client, rpc.BaseURL), log: log}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "mailpush", Subsystem: "scheduler", Name: "loads_age_seconds",
		Help: "Time since the registry last told the loads of the shards; -1 when it never did.",
	}, l.age)
	if err := metrics.Register(age); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return l, nil
}

func (l *Loads) age() float64 {
	if last := l.last.Load(); last != nil {
		return time.Since(last.at).Seconds()
	}
	return -1
}

// Last returns what the registry last told: nothing before its first answer.
func (l *Loads) Last() assign.Loads {
	if last := l.last.Load(); last != nil {
		return last.loads
	}
	return assign.Loads{}
}

// Installation is which one the registry is of; empty until it has told.
func (l *Loads) Installation() string {
	if installation := l.installation.Load(); installation != nil {
		return *installation
	}
	return ""
}

// Run asks for the loads at once and after each hint, but not too often, until ctx
// ends or the hints do.
func (l *Loads) Run(ctx context.Context, hints <-chan struct{}) error {
	failing := false
	for {
		started := time.Now()
		err := l.refresh(ctx)
		wait := max(spacing, time.Duration(float64(time.Since(started))/costShare))
		if err != nil && ctx.Err() == nil {
			if !failing {
				l.log.WarnContext(ctx, "loads of the shards are not up to date", "error", err)
			}
			wait = retryAfter
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if failing {
			continue
		}
		if _, open := <-hints; !open {
			return nil
		}
	}
}

// Ask has the highest epoch that the registry has now, and the loads if there are none yet.
// Last has both when it returns nil.
func (l *Loads) Ask(ctx context.Context) error {
	l.asking.Lock()
	defer l.asking.Unlock()
	last := l.last.Load()
	if last == nil {
		return l.count(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request := connect.NewRequest(&registryv1.ShardLoadsRequest{OnlyMaxEpoch: true})
	response, err := l.registry.ShardLoads(ctx, request)
	if err != nil {
		return fmt.Errorf("asking the registry for its highest epoch: %w", err)
	}
	newer := *last
	newer.loads.MaxEpoch = max(newer.loads.MaxEpoch, response.Msg.GetMaxEpoch())
	l.last.Store(&newer)
	return nil
}

func (l *Loads) refresh(ctx context.Context) error {
	l.asking.Lock()
	defer l.asking.Unlock()
	return l.count(ctx)
}

// count asks for the loads.
func (l *Loads) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := l.meet(ctx); err != nil {
		return err
	}
	response, err := l.registry.ShardLoads(ctx, connect.NewRequest(&registryv1.ShardLoadsRequest{}))
	if err != nil {
		return fmt.Errorf("asking the registry for loads: %w", err)
	}
	loads := assign.Loads{
		Listeners: make(map[shard.ID]uint32, len(response.Msg.GetLoads())),
		MaxEpoch:  response.Msg.GetMaxEpoch(),
	}
	for _, load := range response.Msg.GetLoads() {
		loads.Listeners[shard.ID{Backend: load.GetBackend(), Number: load.GetShard()}] = load.GetListeners()
	}
	l.last.Store(&known{loads, time.Now()})
	return nil
}

// meet asks once which installation the registry is of.
func (l *Loads) meet(ctx context.Context) error {
	if l.installation.Load() != nil {
		return nil
	}
	response, err := l.registry.GetInstallation(ctx, connect.NewRequest(&registryv1.GetInstallationRequest{}))
	switch {
	case err == nil:
		l.installation.Store(new(response.Msg.GetInstallationId()))
	case connect.CodeOf(err) != connect.CodeUnimplemented:
		return fmt.Errorf("asking the registry for its installation: %w", err)
	}
	return nil
}
