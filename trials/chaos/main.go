// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command chaos kills the processes of a mailpush again and again while mail arrives
// and endpoints fail, in an order that follows from a seed, and judges what the
// endpoints got. Invariant: it exits 0 only when every mail was pushed to every
// subscription, in order and under one id, and every subscription is there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"mailpush.internal/trials/internal/chaos"
	"mailpush.internal/trials/internal/rig"
)

func main() {
	o := chaos.Options{
		Odds:     chaos.Odds{Refuse: 0.05, Throttle: 0.04, Hang: 0.01, Reset: 0.03, Break: 0.02},
		Patience: 2 * time.Minute,

		Outages:    10,
		NotifyOdds: chaos.NotifyOdds{Late: 0.1, Refuse: 0.05, Drop: 0.1, Twice: 0.05},
	}
	flag.Uint64Var(&o.Seed, "seed", rand.Uint64(), "what the order follows from; drawn if not given")
	flag.IntVar(&o.Mailboxes, "mailboxes", 200, "how many mailboxes there are, each with two subscriptions")
	flag.IntVar(&o.Mails, "mails", 20_000, "how many mails are delivered to them")
	flag.IntVar(&o.Kills, "kills", 50, "how often a worker, the vault or admin-api is killed")
	flag.DurationVar(&o.Length, "for", 5*time.Minute, "how long mails arrive and processes are killed")
	flag.BoolVar(&o.Hasty, "hasty", false, "answer pushes before they are accepted: mail must be found missing")
	flag.Func("backend", "imapidle, which is the default, or dovecot: how workers hear of new mail", func(name string) error { return setBackend(&o, name) })
	flag.BoolVar(&o.HintsAlone, "hints-alone", false, "with -backend dovecot, trust notifications alone: mail must be found missing")
	answers := flag.Bool("answers", false, "have endpoints answer 404 for 5 seconds, 400 for a minute and with a wrong certificate for a minute, too")
	before := flag.String("before", "", "mix in the programs of this revision: a rolling upgrade, back and forth")
	keep := flag.Bool("keep", false, "keep the logs of the processes, and say where")
	flag.Parse()
	if *answers {
		setAnswers(&o)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *before, *keep, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// setAnswers has endpoints answer wrongly for a while. What takes a person to mend is tried
// again after minutes.
func setAnswers(o *chaos.Options) {
	o.Spells = &chaos.Spells{
		NotFound:         chaos.Spell{Times: 3, Length: 5 * time.Second},
		Refusing:         chaos.Spell{Times: 1, Length: time.Minute},
		WrongCertificate: chaos.Spell{Times: 1, Length: time.Minute},
	}
	o.Patience = 12 * time.Minute
}

// setBackend says how new mail is noticed.
func setBackend(o *chaos.Options, name string) error {
	if name != "imapidle" && name != "dovecot" {
		return errors.New("want imapidle or dovecot")
	}
	o.Notified = name == "dovecot"
	return nil
}

func run(ctx context.Context, o chaos.Options, before string, keep bool, out io.Writer) (err error) {
	if o.Dir, err = os.MkdirTemp("", "mailpush-chaos-"); err != nil {
		return err
	}
	defer func() {
		if keep {
			fmt.Fprintln(out, "the logs are in", o.Dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(o.Dir))
	}()
	fmt.Fprintf(out, "chaos: %d mails to %d mailboxes and %d kills in %v, seed %d\n", o.Mails, o.Mailboxes, o.Kills, o.Length, o.Seed)
	if o.Programs, err = rig.Build(ctx, o.Dir); err != nil {
		return err
	}
	if before != "" {
		fmt.Fprintln(out, "chaos: every other process is of", before)
		earlier, err := rig.BuildRevision(ctx, filepath.Join(o.Dir, "before"), before)
		if err != nil {
			return err
		}
		o.Before = &earlier
	}
	verdict, err := chaos.Run(ctx, o, out)
	if err != nil {
		return err
	}
	verdict.Report(out)
	return verdict.Err()
}
