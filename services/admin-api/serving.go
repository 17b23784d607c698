// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/service"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/rpc"
	"mailpush.internal/services/admin-api/internal/store"
)

// placeAgain is the pause before a registry is asked again that could not note where mail
// stores are.
const placeAgain = time.Second

// serving answers calls, each under the rules in force when it comes.
type serving struct {
	*Service

	edge             *edge.Edge
	registry         *store.Store
	shards           uint32
	installation     string
	mailboxes        edge.Shards
	public, internal handler
}

// handler is a handler that another may take the place of. Calls it has begun it ends.
type handler struct{ current atomic.Pointer[http.Handler] }

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*h.current.Load()).ServeHTTP(w, r)
}

func (h *handler) set(next http.Handler) { h.current.Store(&next) }

// begin answers calls under the rules from now on.
func (s *serving) begin(r *rules) {
	s.edge = s.edge.Under(r.Rules)
	s.public.set(rpc.Public{
		Edge: s.edge, Auth: r.auth, Metrics: s.metrics, Log: s.rt.Log, AllowedOrigins: r.origins, Ready: s.Ready,
	}.Handler())
	s.mailboxes = edge.Shards{Policy: r.Policy, Shards: s.shards, Epochs: s.registry, Mailboxes: s.registry}
	s.internal.set(rpc.Internal{
		Edge: s.edge, Shards: s.mailboxes,
		Stores: r.Stores, Metrics: s.metrics, Log: s.rt.Log, Installation: s.installation, Policy: r.print,
	}.Handler())
}

// follow goes over to other rules when there are some, and does what goes on beside calls,
// until ctx ends. It begins with the rules that are served, and the backends that mail stores
// had before.
func (s *serving) follow(ctx context.Context, now *rules, former map[string]string) error {
	var moves sync.WaitGroup // each goes on under the rules after those that it came with
	defer moves.Wait()
	for ctx.Err() == nil {
		on, rules, from := s.edge, now, former
		moves.Go(func() {
			s.tellOfStores(ctx, rules)
			on.Move(ctx, from)
		})
		if err := s.under(ctx); err != nil {
			return err
		}
		if ctx.Err() == nil {
			now, former = s.change(ctx, now)
		}
	}
	return nil
}

// under does what goes on beside calls until the rules change or ctx ends.
func (s *serving) under(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	mailboxes := s.mailboxes
	return service.Group(ctx, s.edge.Run,
		func(ctx context.Context) error {
			mailboxes.KeepCensus(ctx, s.rt.Log, s.metrics.Census)
			return nil
		},
		func(ctx context.Context) error {
			select {
			case <-s.changed:
			case <-ctx.Done():
			}
			end()
			return nil
		})
}

// change goes over to the newest rules, once the registry knows which backends mail stores
// have under them, and returns them with the former backends.
func (s *serving) change(ctx context.Context, before *rules) (now *rules, former map[string]string) {
	waits := condition.New(s.rt.Log, slog.LevelWarn, "the policy waits for the registry")
	for {
		now = s.rules.Load()
		var err error
		if before.moved(now) {
			former, err = s.registry.Place(ctx, now.Policy.Stores, time.Now())
		}
		if err == nil {
			waits.Worked(ctx)
			break
		}
		waits.Failed(ctx, err)
		select {
		case <-ctx.Done():
			return before, nil
		case <-time.After(placeAgain):
		}
	}
	s.begin(now)
	if now.print == before.print {
		return now, former
	}
	s.rt.Log.InfoContext(ctx, "policy in force", "policy", now.print, "before", before.print,
		"allow_permanent_push", now.Policy.AllowPermanentPush, "mail_stores", now.Policy.StoreNames())
	return now, former
}

// tellOfStores tells of users whose mail store is not configured any more: they keep all
// that is stored of them and have no listener until it is there again.
func (s *serving) tellOfStores(ctx context.Context, r *rules) {
	counts, err := s.registry.UsersByStore(ctx)
	if err != nil {
		s.rt.Log.WarnContext(ctx, "users of mail stores not counted", "error", err)
		return
	}
	for _, one := range counts {
		if _, known := r.Stores[one.Store]; !known && one.Store != "" {
			s.rt.Log.WarnContext(ctx, "mail store is not in the configuration, its users have no listener until it is there again",
				"mail_store", one.Store, "users", one.Users)
		}
	}
}
