// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package oddservers_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/imaptest/odd"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// source is the client that is tried; what it logs is searched for secrets.
func source(log *slog.Logger) listen.Source { return imap.New(imap.Config{Log: log}) }

// tuning are times for tests: as short as they can be without changing what is tested.
func tuning() machine.Settings {
	return machine.Settings{
		Settle: 50 * time.Millisecond, MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		PollInterval: 50 * time.Millisecond, Retry: 10 * time.Millisecond,
	}
}

const (
	patience = 40 * time.Second // bounds each wait for something expected
	// atOnce is how many servers are tried at once: the trials wait more than they work.
	atOnce = "24"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// The listener's own server is the odd one, its neighbour's an honest one.
func oddUser() mailbox.User   { return mailbox.User{Context: "1", ID: "odd"} }
func soundUser() mailbox.User { return mailbox.User{Context: "1", ID: "sound"} }

func TestOddServers(t *testing.T) {
	t.Parallel()
	var passed atomic.Int32
	servers := odd.Servers()
	t.Run("each", func(t *testing.T) {
		t.Parallel()
		for _, server := range servers {
			t.Run(server.Name, func(t *testing.T) {
				t.Parallel()
				newTrial(t, server, mailbox.Envelopes).run()
				if !t.Failed() {
					passed.Add(1)
				}
			})
		}
	})
	t.Cleanup(func() {
		fmt.Fprintf(os.Stdout, "result: odd_servers=%d\nresult: odd_servers_passed=%d\n", len(servers), passed.Load())
	})
}

// Where pushes tell of UIDs alone less is asked for, and less can go wrong: each mail is told
// of all the same, of one that cannot be read as well.
func TestOddServersThatAreAskedForUIDs(t *testing.T) {
	t.Parallel()
	for _, server := range odd.Servers() {
		kind, _, _ := strings.Cut(server.Name, ":")
		if !slices.Contains([]string{"damage", "envelope", "value", "frame", "absence", "evidence", "merged", "numbers"}, kind) {
			continue // what is odd there is not in the answer to a read
		}
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			want := make([]odd.Mail, len(server.Want)) // servers share the slice of the table
			for i, mail := range server.Want {
				want[i] = odd.Mail{UID: mail.UID}
			}
			server.Want = want
			newTrial(t, server, mailbox.UIDs).run()
		})
	}
}

// trial is one odd server and an honest one, with a listener each in the same loop.
type trial struct {
	t          *testing.T
	is         odd.Server
	odd, sound *imaptest.OddServer
	loop       *listen.Loop
	teller     *teller
	log        *complaints
	last       uint32 // the mail that ends the trial
}

func newTrial(t *testing.T, is odd.Server, detail mailbox.Detail) *trial {
	t.Helper()
	trial := &trial{t: t, is: is, odd: start(t, is.Odd), sound: start(t, imaptest.Odd{}), teller: newTeller(), log: newComplaints()}
	trial.loop = listen.New(listen.Config{Sources: map[string]listen.Source{"imapidle": source(trial.log.logger())}, Tuning: tuning(), Log: trial.log.logger()}, logins{}, trial.teller)
	trial.teller.fetch = func(u mailbox.User, from uint32) { trial.loop.Fetch(u, from, detail) }
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- trial.loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loop: %v", err)
		}
	})
	trial.loop.Put(mailbox.Listening{User: oddUser(), Store: trial.store(), CredentialVersion: 1})
	trial.loop.Put(mailbox.Listening{User: soundUser(), Store: store("sound", trial.sound, patience), CredentialVersion: 1})
	return trial
}

func start(t *testing.T, o imaptest.Odd) *imaptest.OddServer {
	t.Helper()
	server, err := imaptest.NewOdd(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// store is the odd server's. Who may have to wait in vain for an answer does not wait
// for long; where connections are counted, the machine gets the time it takes.
func (tr *trial) store() *mailv1.MailStore {
	timeout := patience
	switch {
	case tr.is.Slow:
	case tr.is.Connections < 0:
		timeout = time.Second
	case tr.is.Connections > 1:
		timeout = 2 * time.Second
	}
	s := store("odd", tr.odd, timeout)
	if tr.is.Refresh > 0 {
		s.IdleRefresh = durationpb.New(tr.is.Refresh)
	}
	return s
}

func store(name string, server *imaptest.OddServer, timeout time.Duration) *mailv1.MailStore {
	return &mailv1.MailStore{
		Name: name, Address: server.Addr(), TlsMode: mailv1.TlsMode_TLS_MODE_PLAIN, Backend: "imapidle",
		ResponseTimeout: durationpb.New(timeout),
	}
}

// logins is a vault where all users have the same login.
type logins struct{}

func (logins) Login(context.Context, mailbox.User, uint32) (mailbox.Login, error) {
	return mailbox.Login{Username: odd.User, Password: secret.New(odd.Password), Version: 1}, nil
}

func (tr *trial) run() {
	defer func() {
		if tr.t.Failed() {
			tr.t.Logf("what was said:\n%s", tr.odd.Transcript())
		}
	}()
	tr.untilListening(soundUser())
	if tr.is.Shut {
		tr.untilSaid(tr.is.Says)
	} else {
		tr.untilListening(oddUser())
		for _, step := range tr.is.Steps {
			tr.play(step)
		}
		tr.untilLast()
		tr.untilListening(oddUser())
		tr.judge()
	}
	tr.untilSaid(tr.is.Says)
	tr.log.noSecret(tr.t)
	tr.neighbour()
}

// judge compares what was told of with what there was.
func (tr *trial) judge() {
	tr.t.Helper()
	got, _ := tr.teller.of(oddUser())
	for _, wrong := range differences(slices.Concat(tr.is.Want, []odd.Mail{{UID: tr.last}}), got) {
		tr.t.Error(wrong)
	}
	if most := max(tr.is.Connections, 1); tr.is.Connections >= 0 && tr.odd.Accepted() > most {
		tr.t.Errorf("%d connections, want %d at most: %q", tr.odd.Accepted(), most, tr.log.all())
	}
	if reads := tr.odd.Commands("UID FETCH") + tr.odd.Commands("UID SEARCH"); tr.is.Reads > 0 && reads > tr.is.Reads {
		tr.t.Errorf("%d reads, want %d at most", reads, tr.is.Reads)
	}
}

// play does one step.
func (tr *trial) play(s odd.Step) {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(tr.t.Context(), patience)
	defer cancel()
	if err := s.Play(ctx, tr.odd, func(uid uint32) { tr.untilTold(oddUser(), uid) }); err != nil {
		tr.t.Fatal(err)
	}
}

// untilLast has what is wanted told, and then one mail more: what is told too much
// comes before it, or with it.
func (tr *trial) untilLast() {
	tr.t.Helper()
	for _, mail := range tr.is.Want {
		tr.untilTold(oddUser(), mail.UID)
	}
	tr.last = tr.odd.Arrive(imaptest.OddMail{})
	tr.untilTold(oddUser(), tr.last)
}

// neighbour has the honest server's listener tell of a mail: it has noticed nothing.
func (tr *trial) neighbour() {
	tr.t.Helper()
	tr.untilTold(soundUser(), tr.sound.Arrive(imaptest.OddMail{}))
	if n := tr.sound.Accepted(); n != 1 {
		tr.t.Errorf("%d connections to the neighbour", n)
	}
}

func (tr *trial) untilTold(u mailbox.User, uid uint32) {
	tr.t.Helper()
	late := time.After(patience)
	for {
		told, changed := tr.teller.of(u)
		if has(told, uid) {
			return
		}
		select {
		case <-changed:
		case <-late:
			tr.t.Fatalf("%s: mail %d was not told of; told: %+v; complaints: %q", u.ID, uid, told, tr.log.all())
		}
	}
}

// untilListening waits until a listener waits for mail.
func (tr *trial) untilListening(u mailbox.User) {
	tr.t.Helper()
	listening := mailv1.ListenerState_LISTENER_STATE_IDLE
	if tr.is.Polls && u == oddUser() {
		listening = mailv1.ListenerState_LISTENER_STATE_POLLING
	}
	late := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		all := tr.loop.Status([]mailbox.User{u})
		if len(all) == 1 && all[0].State == listening {
			return
		}
		select {
		case <-tick.C: // the loop has no way to wait for a state
		case <-late:
			tr.t.Fatalf("%s: not %s but %+v; complaints: %q", u.ID, listening, all, tr.log.all())
		}
	}
}

// untilSaid waits for a complaint; nothing is in any.
func (tr *trial) untilSaid(text string) {
	tr.t.Helper()
	late := time.After(patience)
	for {
		all, changed := tr.log.since()
		if text == "" || strings.Contains(strings.ToLower(all), strings.ToLower(text)) {
			return
		}
		select {
		case <-changed:
		case <-late:
			tr.t.Fatalf("no complaint of %q: %q", text, all)
		}
	}
}
