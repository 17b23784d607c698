// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"context"
	"log/slog"
	"time"

	"mailpush.internal/pkg/hold"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

const reportTimeout = 5 * time.Second

// running is what runs for a shard.
type running struct {
	claim hold.Claim
	boxes boxes
}

// step tells the machine of an event and carries out what it decides. What the
// machine knows of the right to act is never older than the step.
func (m *membership) step(event hold.Event) {
	now := time.Now() // before the look: a right that is current after it covers it
	if right := m.member.Right(); right != m.right {
		m.right = right
		m.carryOut(now, hold.Righted{Right: right})
	}
	m.carryOut(now, event)
}

func (m *membership) carryOut(now time.Time, event hold.Event) {
	for _, effect := range m.machine.Step(event, now) {
		switch effect := effect.(type) {
		case hold.Read:
			m.read(effect)
		case hold.Run:
			read, _ := event.(loaded) // nothing else leads to it
			m.apply(effect.Claims, read.Read.Users, read.listing)
		case hold.Release:
			m.release(effect.Claims)
		case hold.Cut:
			m.cut(effect.Claims)
		case hold.Report:
			m.report(effect)
		case hold.Began:
			m.began(effect.Claims, now)
		case hold.Ended:
			m.ended(effect.Claims)
		}
	}
}

// release stops the listeners of shards, then lets delivery end what is in flight.
func (m *membership) release(claims []hold.Claim) {
	for _, claim := range claims {
		m.silence(claim)
	}
	m.loop.Go(func() {
		if m.drain(claims, m.cfg.DrainFor) {
			m.loop.Post(func() { m.step(hold.Drained{Claims: claims}) })
		}
	})
}

// cut stops everything of shards at once.
func (m *membership) cut(claims []hold.Claim) {
	for _, claim := range claims {
		m.silence(claim)
	}
	m.delivery.Drop(claims)
}

// silence stops the listeners of a shard.
func (m *membership) silence(claim hold.Claim) {
	s := m.shards[claim.ID()]
	if s == nil || s.claim != claim {
		return
	}
	for _, box := range s.boxes {
		if !m.elsewhere(box.user, claim.ID()) {
			m.listeners.Remove(box.user)
		}
	}
	delete(m.shards, claim.ID())
}

// report tells the scheduler what is run.
func (m *membership) report(report hold.Report) {
	m.loop.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, reportTimeout)
		defer cancel()
		err := m.member.Report(ctx, report.Have)
		switch {
		case err == nil:
			m.reporting.Worked(ctx)
		case !m.lost(): // else there is nobody to report to
			m.reporting.Failed(ctx, err)
		}
		m.loop.Post(func() { m.step(hold.Reported{Have: report.Have, Failed: err != nil}) })
	})
}

// began records for whoever wants to know which worker held a shard when.
func (m *membership) began(claims []hold.Claim, at time.Time) {
	for _, set := range hold.Sets(claims) {
		m.cfg.Log.DebugContext(m.ctx, "hold began", m.record(set, at)...)
	}
}

// ended records the end of holds, which was not later than the end of the right. When
// it was noticed is the record's own time.
func (m *membership) ended(claims []hold.Claim) {
	at := time.Now()
	if until := m.member.Until(); until.Before(at) {
		at = until
	}
	for _, set := range hold.Sets(claims) {
		m.cfg.Log.DebugContext(m.ctx, "hold ended", m.record(set, at)...)
	}
}

func (m *membership) record(set *mailv1.ShardSet, at time.Time) []any {
	return []any{
		slog.String("worker", m.member.ID()), slog.String("backend", set.GetBackend()),
		slog.Any("shards", set.GetShards()), slog.Any("epochs", set.GetEpochs()), slog.Time("at", at),
	}
}
