// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"log/slog"
	"time"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/services/admin-api/internal/decide"
)

const (
	// censusEvery is the least time between two censuses, and censusShare the part of its
	// time the database may at most spend on them.
	censusEvery = time.Minute
	censusShare = 0.02
)

// Census is how many users there are by what the decision comes to.
type Census struct {
	Permanent uint64            // those that are to have a listener
	Refused   map[string]uint64 // the others, by the check that says no; each check is there
}

// Census counts all users. Workers cannot: of a user that gets no listener, whose credential
// is suspended for one, no worker knows for long.
func (s Shards) Census(ctx context.Context) (Census, error) {
	groups, err := s.Mailboxes.Groups(ctx, 1, s.Policy.AllowedClients.Allow)
	if err != nil {
		return Census{}, err
	}
	out := Census{Refused: make(map[string]uint64)}
	for _, check := range decide.Checks() {
		out.Refused[check] = 0
	}
	for _, g := range groups {
		if d := decide.Listener(s.Policy, g.Like, decide.NotAsked); d.OK() {
			out.Permanent += uint64(g.Users)
		} else {
			out.Refused[d.Last()] += uint64(g.Users)
		}
	}
	return out, nil
}

// KeepCensus takes a census again and again until ctx ends, and tells what it comes to.
// While the database is away the last one stays: nobody is to think that there are no users.
func (s Shards) KeepCensus(ctx context.Context, log *slog.Logger, tell func(Census)) {
	counting := condition.New(log, slog.LevelWarn, "users could not be counted")
	for {
		began := time.Now()
		census, err := s.Census(ctx)
		if err == nil {
			tell(census)
		}
		note(ctx, counting, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(censusEvery, time.Duration(float64(time.Since(began))/censusShare))):
		}
	}
}
