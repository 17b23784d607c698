// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos kills mailpush while mail arrives, and looks at what the endpoints got:
// a real Dovecot and PostgreSQL, workers, vault, admin-api and scheduler as processes,
// receivers that refuse, throttle, hang and break off, and that answer wrongly for a while
// as if their subscriptions had ended. Dovecot is waited for in IDLE, or
// notifies workers through what is late, refuses and loses.
//
// Invariant: the verdict comes from two records alone, of the mails that Dovecot has
// accepted and of what receivers took in and answered.
package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/trials/internal/rig"
)

// Options say what a run does.
type Options struct {
	Dir      string       // where it keeps what it writes, but for Dovecot and PostgreSQL
	Programs rig.Programs // what it runs
	// Before are the programs of an earlier release. Each process is of the one and, when it
	// comes back, of the other, so that all pairs of the two meet; nil means none.
	Before *rig.Programs
	Seed   uint64 // what all that is random follows from

	Mailboxes int           // each with two subscriptions
	Mails     int           // over all mailboxes
	Kills     int           // of workers, vault and admin-api
	Length    time.Duration // what mails and kills are spread over
	Odds      Odds
	// Spells are the wrong answers that endpoints give for a while, beside the odds; nil
	// means none. With them endpoints have TLS.
	Spells *Spells
	// Hurry has what is pending tried at once when the spells are over, as an operator can.
	Hurry bool
	// Patience is how long to wait for what is left without any new push.
	Patience time.Duration
	// Hasty has every push answered with 200 before its endpoint has accepted, and so the
	// cursor moved: what a worker does that takes a push for accepted too early.
	Hasty bool

	// Notified has Dovecot tell of new mail, the backend dovecot; else workers wait for it
	// in IDLE.
	Notified   bool
	NotifyOdds NotifyOdds
	// Outages are how often Dovecot's notifications are refused altogether for a while.
	Outages int
	// HintsAlone has workers hardly look for mail that they were not notified of, and the
	// run wait for Patience in all: what a worker does that trusts notifications alone.
	HintsAlone bool
}

const (
	pollEvery = 100 * time.Millisecond
	tellEvery = 5 * time.Second
)

// run is one run.
type run struct {
	Options

	out     io.Writer
	began   time.Time
	around  *deployment
	fleet   *fleet
	record  *record
	hooks   *receivers
	mailing *mailing
	kills   int     // that were made
	spells  *spells // nil: none
}

// Run breaks things until all mails have been delivered and all kills are done, waits
// until every mail has been pushed to every subscription, and judges. It tells out what
// it does. The error is about the run; what came of it is in the verdict.
func Run(ctx context.Context, o Options, out io.Writer) (_ Verdict, err error) {
	r := &run{Options: o, out: out, record: newRecord(), began: time.Now()}
	defer func() { err = errors.Join(err, r.close()) }()
	ctx, broken := context.WithCancelCause(ctx)
	defer broken(nil)
	if err = r.start(ctx, broken); err == nil {
		err = r.play(ctx)
	}
	if err != nil {
		return Verdict{}, cmp.Or(context.Cause(ctx), err)
	}
	taken, complaints := r.record.read()
	if len(complaints) > 0 {
		return Verdict{}, fmt.Errorf("%d requests that should never have been made, e.g. %q", len(complaints), complaints[:min(len(complaints), maxExamples)])
	}
	verdict := Judge(r.mailing.expected(), taken)
	verdict.Kills, verdict.Earlier = r.kills, r.fleet.earlier()
	if verdict.Missing > 0 {
		if err := r.around.explain(ctx, r.tell); err != nil {
			return verdict, err
		}
	}
	if n := r.around.notifications; n != nil {
		verdict.Notifications, verdict.LostNotifications, verdict.LateNotifications = n.count()
	}
	if r.spells != nil {
		answers := r.spells.counts()
		if answers.SubscriptionsLost, err = r.around.lost(ctx, r.Mailboxes); err != nil {
			return verdict, err
		}
		verdict.Answers = &answers
	}
	return verdict, nil
}

func (r *run) start(ctx context.Context, broken func(error)) error {
	var err error
	if r.Spells != nil {
		r.spells = newSpells(*r.Spells, r.Seed, r.Length)
	}
	if r.hooks, err = newReceivers(r.record, newDice(r.Odds, r.Seed), r.spells, r.Hasty); err != nil {
		return err
	}
	if r.around, err = deploy(ctx, r.Options); err != nil {
		return err
	}
	if r.hooks.certificates != nil {
		if r.around.environment, err = r.hooks.certificates.write(filepath.Join(r.Dir, "endpoints-ca.crt")); err != nil {
			return err
		}
	}
	r.mailing = &mailing{dovecot: r.around.dovecot, mailboxes: r.Mailboxes, delivered: make(map[string][]string)}
	if r.fleet, err = launch(r.around, r.Before, broken); err != nil {
		return err
	}
	r.tell("subscribing %d devices", r.Mailboxes*len(devices()))
	return r.around.subscribe(ctx, r.Mailboxes, r.hooks)
}

// play lets mail arrive, kills, and waits for the pushes.
func (r *run) play(ctx context.Context) error {
	all, playing := errgroup.WithContext(ctx)
	if r.spells != nil {
		r.spells.begin()
		all.Go(func() error { return rig.Pause(playing, r.Length) }) // until the last is over
	}
	all.Go(func() error { return r.mailing.run(playing, r.Mails, r.Length) })
	all.Go(func() (err error) {
		random := rand.New(rand.NewPCG(r.Seed, 1))
		r.kills, err = r.fleet.havoc(playing, random, r.Kills, r.Length, r.tell)
		return err
	})
	if n := r.around.notifications; n != nil {
		all.Go(func() error {
			return n.outages(playing, rand.New(rand.NewPCG(r.Seed, 2)), r.Outages, r.Length, r.tell)
		})
	}
	if err := r.tellUntil(ctx, all.Wait); err != nil {
		return err
	}
	r.tell("all mails are delivered, all kills done")
	if r.Hurry {
		if err := r.around.hurry(ctx, r.Mailboxes); err != nil {
			return err
		}
	}
	return r.await(ctx)
}

// tellUntil tells of the progress until wait returns.
func (r *run) tellUntil(ctx context.Context, wait func() error) error {
	ctx, stop := context.WithCancel(ctx)
	var telling errgroup.Group
	telling.Go(func() error {
		for rig.Pause(ctx, tellEvery) == nil {
			r.tellProgress()
		}
		return nil
	})
	err := wait()
	stop()
	return errors.Join(err, telling.Wait())
}

// await waits until every push is there, or none has come for too long.
func (r *run) await(ctx context.Context) error {
	all := r.mailing.progress() * len(devices())
	return r.tellUntil(ctx, func() error {
		last, since := 0, time.Now()
		for {
			pushed, _ := r.record.progress()
			switch {
			case pushed >= all:
				r.tellProgress()
				return nil
			case pushed > last && !r.HintsAlone:
				last, since = pushed, time.Now()
			case time.Since(since) > r.Patience:
				r.tell("nothing new for %v", r.Patience)
				return nil
			}
			if err := rig.Pause(ctx, pollEvery); err != nil {
				return err
			}
		}
	})
}

func (r *run) tellProgress() {
	pushed, requests := r.record.progress()
	r.tell("%d of %d mails delivered, %d of %d pushes accepted, %d requests",
		r.mailing.progress(), r.Mails, pushed, r.Mails*len(devices()), requests)
}

// tell writes one line. A write is one piece: lines may come from anywhere.
func (r *run) tell(format string, args ...any) {
	line := fmt.Sprintf("  %5.1f s: ", time.Since(r.began).Seconds()) + fmt.Sprintf(format, args...)
	fmt.Fprintln(r.out, line)
}

// close ends everything, in any state.
func (r *run) close() error {
	if r.fleet != nil {
		r.fleet.close()
	}
	if r.hooks != nil {
		r.hooks.close()
	}
	if r.around != nil {
		return r.around.close()
	}
	return nil
}
