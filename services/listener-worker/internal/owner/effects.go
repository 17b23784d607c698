// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"log/slog"
	"time"

	"mailpush.internal/pkg/hold"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const reportTimeout = 5 * time.Second

// place is a shard of a backend.
type place struct {
	backend string
	number  uint32
}

func placeOf(claim hold.Claim) place { return place{claim.Backend, claim.Shard} }

// shard is what runs for a shard.
type shard struct {
	claim hold.Claim
	boxes map[mailbox.User]listed
}

// step tells the machine of an event and carries out what it decides. What the
// machine knows of the right to act is never older than the step.
func (t *tenure) step(event hold.Event) {
	now := time.Now() // before the look: a right that is current after it covers it
	if right := t.member.Right(); right != t.right {
		t.right = right
		t.carryOut(now, hold.Righted{Right: right})
	}
	t.carryOut(now, event)
	if next := t.machine.Next(); !next.IsZero() {
		t.due.Reset(time.Until(next))
	}
}

func (t *tenure) carryOut(now time.Time, event hold.Event) {
	for _, effect := range t.machine.Step(event, now) {
		switch effect := effect.(type) {
		case hold.Read:
			t.read(effect)
		case hold.Run:
			read, _ := event.(loaded) // nothing else leads to it
			t.apply(effect.Claims, read.listing)
		case hold.Release:
			t.release(effect.Claims)
		case hold.Cut:
			t.cut(effect.Claims)
		case hold.Report:
			t.report(effect)
		case hold.Began:
			t.began(effect.Claims, now)
		case hold.Ended:
			t.ended(effect.Claims)
		}
	}
}

// release stops the listeners of shards, then lets delivery end what is in flight.
func (t *tenure) release(claims []hold.Claim) {
	for _, claim := range claims {
		t.silence(claim)
	}
	t.work.Go(func() {
		if t.drain(claims, t.cfg.DrainFor) {
			t.post(func() { t.step(hold.Drained{Claims: claims}) })
		}
	})
}

// cut stops everything of shards at once.
func (t *tenure) cut(claims []hold.Claim) {
	for _, claim := range claims {
		t.silence(claim)
	}
	t.delivery.Drop(claims)
}

// silence stops the listeners of a shard.
func (t *tenure) silence(claim hold.Claim) {
	s := t.shards[placeOf(claim)]
	if s == nil || s.claim != claim {
		return
	}
	for user := range s.boxes {
		t.listeners.Remove(user)
	}
	delete(t.shards, placeOf(claim))
}

// report tells the scheduler what is run.
func (t *tenure) report(report hold.Report) {
	t.work.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, reportTimeout)
		defer cancel()
		err := t.member.Report(ctx, report.Have)
		if err != nil && !t.lost() { // else there is nobody to report to
			t.cfg.Log.WarnContext(ctx, "what is run could not be reported", "error", err)
		}
		t.post(func() { t.step(hold.Reported{Have: report.Have, Failed: err != nil}) })
	})
}

// began records for whoever wants to know which worker held a shard when.
func (t *tenure) began(claims []hold.Claim, at time.Time) {
	for _, set := range hold.Sets(claims) {
		t.cfg.Log.DebugContext(t.ctx, "hold began", t.record(set, at)...)
	}
}

// ended records the end of holds, which was not later than the end of the right. When
// it was noticed is the record's own time.
func (t *tenure) ended(claims []hold.Claim) {
	at := time.Now()
	if until := t.member.Until(); until.Before(at) {
		at = until
	}
	for _, set := range hold.Sets(claims) {
		t.cfg.Log.DebugContext(t.ctx, "hold ended", t.record(set, at)...)
	}
}

func (t *tenure) record(set *mailv1.ShardSet, at time.Time) []any {
	return []any{
		slog.String("worker", t.member.ID()), slog.String("backend", set.GetBackend()),
		slog.Any("shards", set.GetShards()), slog.Any("epochs", set.GetEpochs()), slog.Time("at", at),
	}
}
