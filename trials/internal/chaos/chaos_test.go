// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"mailpush.internal/trials/internal/chaos"
	"mailpush.internal/trials/internal/rig"
)

// programs are built once, for all runs.
var programs struct {
	dir  string
	once sync.Once
	rig.Programs
	err error
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer func() { _ = os.RemoveAll(programs.dir) }() // tests of other kinds build nothing
	return m.Run()
}

func build(t *testing.T) rig.Programs {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "chaos-"); programs.err == nil { //nolint:usetesting // it outlives this test
			programs.Programs, programs.err = rig.Build(t.Context(), programs.dir)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.Programs
}

// small is what fits into a minute with the race detector.
func small(t *testing.T) chaos.Options {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Dovecot, PostgreSQL and a minute: left out with -short") //nolint:forbidigo // only with -short
	}
	return chaos.Options{
		Dir: t.TempDir(), Programs: build(t), Seed: 4,
		Mailboxes: 20, Mails: 500, Kills: 6, Length: 25 * time.Second,
		Odds:     chaos.Odds{Refuse: 0.05, Throttle: 0.04, Hang: 0.01, Reset: 0.03, Break: 0.03},
		Patience: 2 * time.Minute,
	}
}

// judged runs chaos and reports what came of it.
func judged(t *testing.T, o chaos.Options) chaos.Verdict {
	t.Helper()
	verdict, err := chaos.Run(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	verdict.Report(t.Output())
	return verdict
}

// Whatever is killed and however endpoints fail: every mail is pushed to every
// subscription, in order and under one id.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	verdict := judged(t, small(t))
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
	if verdict.Expected != 1000 || verdict.Kills != 6 {
		t.Errorf("%d pushes were expected and %d processes killed, want 1000 and 6", verdict.Expected, verdict.Kills)
	}
}

// Endpoints that answer as if they were gone, as if each mail were at fault, and by a wrong
// certificate, each for a while: no mail is lost, and no subscription.
func TestWrongAnswersEndNothing(t *testing.T) {
	t.Parallel()
	o := small(t)
	o.Spells = &chaos.Spells{
		NotFound:         chaos.Spell{Times: 2, Length: 3 * time.Second},
		Refusing:         chaos.Spell{Times: 1, Length: 8 * time.Second},
		WrongCertificate: chaos.Spell{Times: 1, Length: 8 * time.Second},
	}
	// What takes a person to mend is tried again after minutes, if nobody says that it is mended.
	o.Hurry = true
	verdict := judged(t, o)
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
	if a := verdict.Answers; a == nil || a.NotFound == 0 || a.Refused == 0 || a.Certificates == 0 {
		t.Errorf("wrong answers %+v: too few to show anything", a)
	}
}

// The same run must find out a cursor that moves before the endpoint has accepted: else
// it could not tell that all others do not.
func TestHastyAnswersAreFoundOut(t *testing.T) {
	t.Parallel()
	o := small(t)
	o.Hasty = true
	// What is lost never comes. What only waits for a window to end comes within 16 s:
	// the windows of so short a run are no longer.
	o.Patience = 20 * time.Second
	verdict := judged(t, o)
	if verdict.Missing == 0 || verdict.Err() == nil {
		t.Errorf("nothing is found missing: %+v", verdict)
	}
	if verdict.Delivered == 0 {
		t.Error("nothing was delivered: whatever was lost, it was not for haste")
	}
}
