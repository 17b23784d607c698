// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

const (
	connecting = mailv1.ListenerState_LISTENER_STATE_CONNECTING
	idle       = mailv1.ListenerState_LISTENER_STATE_IDLE
	polling    = mailv1.ListenerState_LISTENER_STATE_POLLING
	backing    = mailv1.ListenerState_LISTENER_STATE_BACKOFF
	suspended  = mailv1.ListenerState_LISTENER_STATE_SUSPENDED
	waiting    = mailv1.ListenerState_LISTENER_STATE_WAITING
)

// refresh is when IDLE is renewed, in seconds: without a random source the jitter
// takes its full tenth.
const refresh = 28 * 60 * 0.9

// recheck is when a listener that waits for hints looks by itself, in seconds.
const recheck = 30 * 60 * 0.9

var epoch = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func end(next uint32) mailbox.End {
	return mailbox.End{Folder: mailbox.Inbox, UIDValidity: 1, UIDNext: next}
}

// telling is a hint that tells a mail.
func telling(uid uint32, seconds float64) mailbox.Hint {
	return mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 1, UID: uid, At: at(seconds), Mail: &mailbox.Mail{UID: uid}}
}

func failure(class mailbox.Class) *mailbox.Failure {
	return &mailbox.Failure{Class: class, Reason: class.String()}
}

// step is one line of a test's story: what happens when, what must be done, and
// the state after.
type step struct {
	at    float64
	event Event
	want  []Effect
	state mailv1.ListenerState
}

func newMachine(s Settings) *Machine {
	m := New(NewSettings(s), 1)
	return &m
}

func tell(t *testing.T, story []step) {
	t.Helper()
	m := newMachine(Settings{})
	for i, s := range story {
		got := m.Step(s.event, at(s.at))
		if diff := cmp.Diff(s.want, append([]Effect(nil), got...)); diff != "" {
			t.Fatalf("step %d, %#v (-want +got):\n%s", i, s.event, diff)
		}
		if state := m.State(); state != s.state {
			t.Fatalf("step %d, %#v: state %v, want %v", i, s.event, state, s.state)
		}
	}
}

// opening is the beginning of most stories: connected at second 0, in IDLE at 1.
func opening() []step {
	return []step{
		{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
		{0, Opened{Conn: 1, End: end(5), Waits: ByIdle, Version: 1}, []Effect{
			ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)},
		}, connecting},
		{0.02, Timer{}, []Effect{Idle{Conn: 1}, SetTimer{}}, connecting},
		{1, Idling{Conn: 1}, []Effect{SetTimer{At: at(6)}}, idle},
	}
}

func TestStories(t *testing.T) {
	t.Parallel()
	tests := map[string][]step{
		"the first look after opening is soon, the next at the refresh": append(opening(),
			step{6, Timer{}, []Effect{Check{Conn: 1, Look: mailbox.Sync}, SetTimer{}}, idle},
			step{6, Checked{Conn: 1, End: end(5)}, []Effect{Idle{Conn: 1}}, idle},
			step{7, Idling{Conn: 1}, []Effect{SetTimer{At: at(7 + refresh)}}, idle},
			step{7 + refresh, Timer{}, []Effect{Check{Conn: 1, Look: mailbox.Reopen}, SetTimer{}}, idle},
		),
		"mail is reported with the time of the mail store's word, fetched at once, and looked after": append(opening(),
			step{3, Noticed{Conn: 1, At: at(2.9)}, []Effect{Check{Conn: 1}, SetTimer{}}, idle},
			step{3.1, Checked{Conn: 1, End: end(6)}, []Effect{ReportHead{End: end(6), Noticed: at(2.9)}, SetTimer{At: at(3.12)}}, idle},
			step{3.1, FetchWanted{From: 5}, []Effect{Fetch{Conn: 1, From: 5, Upto: 5}, SetTimer{}}, idle},
			step{3.2, Fetched{Conn: 1, From: 5, Upto: 5, Mails: []mailbox.Mail{{UID: 5}}}, []Effect{
				ReportFetched{End: end(6), From: 5, Upto: 5, Mails: []mailbox.Mail{{UID: 5}}}, Idle{Conn: 1},
			}, idle},
			step{4, Idling{Conn: 1}, []Effect{SetTimer{At: at(9)}}, idle},
		),
		"IDLE waits a moment for the next part of a long catch-up": append(opening(),
			step{3, Noticed{Conn: 1, At: at(3)}, []Effect{Check{Conn: 1}, SetTimer{}}, idle},
			step{3, Checked{Conn: 1, End: end(205)}, []Effect{ReportHead{End: end(205), Noticed: at(3)}, SetTimer{At: at(3.02)}}, idle},
			step{3, FetchWanted{From: 5}, []Effect{Fetch{Conn: 1, From: 5, Upto: 204}, SetTimer{}}, idle},
			step{3.2, Fetched{Conn: 1, From: 5, Upto: 104}, []Effect{ReportFetched{End: end(205), From: 5, Upto: 104}, SetTimer{At: at(3.22)}}, idle},
			step{3.21, FetchWanted{From: 105}, []Effect{Fetch{Conn: 1, From: 105, Upto: 204}, SetTimer{}}, idle},
		),
		"what is noticed while an operation runs is looked at after it": append(opening(),
			step{3, Noticed{Conn: 1, At: at(3)}, []Effect{Check{Conn: 1}, SetTimer{}}, idle},
			step{3, Noticed{Conn: 1, At: at(3.05)}, nil, idle},
			step{3.1, Checked{Conn: 1, End: end(6)}, []Effect{ReportHead{End: end(6), Noticed: at(3)}, Check{Conn: 1}}, idle},
			step{3.2, Checked{Conn: 1, End: end(7)}, []Effect{ReportHead{End: end(7), Noticed: at(3)}, SetTimer{At: at(3.22)}}, idle},
		),
		"a listener that waits for hints holds no connection": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{Close{Conn: 1}, SetTimer{At: at(0.02 + recheck)}}, waiting},
			{3, Hinted{mailbox.Hint{UIDValidity: 1, UID: 4, At: at(3)}}, nil, waiting}, // known
			{4, Hinted{mailbox.Hint{UIDValidity: 1, UID: 5, At: at(3.9)}}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			{4.25, Opened{Conn: 3, End: end(6), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(6), Noticed: at(3.9)}, SetTimer{At: at(4.25).Add(20 * time.Millisecond)}}, connecting},
			{4.25, FetchWanted{From: 5}, []Effect{Fetch{Conn: 3, From: 5, Upto: 5}, SetTimer{}}, connecting},
			{4.5, Fetched{Conn: 3, From: 5, Upto: 5}, []Effect{ReportFetched{End: end(6), From: 5, Upto: 5}, Close{Conn: 3}, SetTimer{At: at(4.5 + recheck)}}, waiting},
			{5, FetchWanted{From: 5}, []Effect{Open{Conn: 5, Known: end(6)}, SetTimer{}}, connecting},
		},
		"a hint that tells the very next mail saves the look, any other does not": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{Close{Conn: 1}, SetTimer{At: at(0.02 + recheck)}}, waiting},
			{3, Hinted{telling(5, 3)}, []Effect{ReportTold{End: end(6), Mail: mailbox.Mail{UID: 5}, Noticed: at(3)}}, waiting},
			{4, Hinted{telling(5, 4)}, nil, waiting}, // again
			{5, Hinted{telling(6, 5)}, []Effect{ReportTold{End: end(7), Mail: mailbox.Mail{UID: 6}, Noticed: at(5)}}, waiting},
			{6, Hinted{telling(8, 6)}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting}, // 7 is not known
			{6.1, Hinted{telling(7, 6.1)}, nil, connecting},
			{6.2, Opened{Conn: 3, End: end(9), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(9), Noticed: at(6)}, Check{Conn: 3}}, connecting},
		},
		"a told mail under another UIDVALIDITY has the mailbox looked at": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{Close{Conn: 1}, SetTimer{At: at(0.02 + recheck)}}, waiting},
			{3, Hinted{mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 2, UID: 5, At: at(3), Mail: &mailbox.Mail{UID: 5}}}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
		},
		"a hint while the mailbox is being looked at has it looked at again": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Hinted{mailbox.Hint{UIDValidity: 1, UID: 5, At: at(0)}}, nil, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, Check{Conn: 1}}, connecting},
			{0.1, Checked{Conn: 1, End: end(6)}, []Effect{ReportHead{End: end(6), Noticed: at(0)}, SetTimer{At: at(0.12)}}, connecting},
			{0.12, Timer{}, []Effect{Close{Conn: 1}, SetTimer{At: at(0.12 + recheck)}}, waiting},
		},
		"a listener that waits looks by itself when no hint comes, and stays away when it cannot": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{Close{Conn: 1}, SetTimer{At: at(0.02 + recheck)}}, waiting},
			{0.02 + recheck, Timer{}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			{recheck + 1, Failed{Conn: 3, Failure: failure(mailbox.ClassUnavailable)}, []Effect{Close{Conn: 3}, SetTimer{At: at(recheck + 2)}}, backing},
			{recheck + 1.5, Hinted{mailbox.Hint{At: at(recheck + 1.5)}}, nil, backing}, // the next opening looks anyway
			{recheck + 2, Timer{}, []Effect{Open{Conn: 5}, SetTimer{}}, connecting},
		},
		"what is noticed while IDLE begins is looked at when it stands": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Noticed{Conn: 1, At: at(0)}, nil, connecting},
			{0, Opened{Conn: 1, End: end(5), Waits: ByIdle, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, Check{Conn: 1}}, connecting},
			{0, Checked{Conn: 1, End: end(5)}, []Effect{SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{Idle{Conn: 1}, SetTimer{}}, connecting},
			{0.03, Noticed{Conn: 1, At: at(0.03)}, nil, connecting},
			{0.04, Idling{Conn: 1}, []Effect{Check{Conn: 1}}, idle},
		},
		"a change of UIDVALIDITY is a head": append(opening(),
			step{3, Noticed{Conn: 1, At: at(3)}, []Effect{Check{Conn: 1}, SetTimer{}}, idle},
			step{3, Checked{Conn: 1, End: mailbox.End{Folder: mailbox.Inbox, UIDValidity: 2, UIDNext: 5}}, []Effect{
				ReportHead{End: mailbox.End{Folder: mailbox.Inbox, UIDValidity: 2, UIDNext: 5}, Noticed: at(3)}, SetTimer{At: at(3.02)},
			}, idle},
		),
		"without IDLE it polls": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Opened{Conn: 1, End: end(5), Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(0)}, SetTimer{At: at(0.02)}}, connecting},
			{0.02, Timer{}, []Effect{SetTimer{At: at(60.02)}}, polling},
			{60.02, Timer{}, []Effect{Check{Conn: 1, Look: mailbox.Sync}, SetTimer{}}, polling},
			{60.1, Checked{Conn: 1, End: end(6), Noticed: at(60.05)}, []Effect{ReportHead{End: end(6), Noticed: at(60.05)}, SetTimer{At: at(60.12)}}, polling},
			{60.12, Timer{}, []Effect{SetTimer{At: at(120.12)}}, polling},
		},
		"IDLE refused turns to polling on the same connection": append(opening()[:3],
			step{1, IdleRefused{Conn: 1, Reason: "BAD"}, []Effect{SetTimer{At: at(61)}}, polling},
		),
		"fetches wanted before the answer are one, from the lowest": append(opening(),
			step{3, FetchWanted{From: 4}, []Effect{Fetch{Conn: 1, From: 4, Upto: 4}, SetTimer{}}, idle},
			step{3, FetchWanted{From: 3}, nil, idle},
			step{3, FetchWanted{From: 2}, nil, idle},
			step{3, FetchWanted{From: 4}, nil, idle},
			step{3, Fetched{Conn: 1, From: 4, Upto: 4}, []Effect{ReportFetched{End: end(5), From: 4, Upto: 4}, Fetch{Conn: 1, From: 2, Upto: 4}}, idle},
		),
		"a lost connection refuses the fetch once and waits longer each time": append(opening(),
			step{3, FetchWanted{From: 4}, []Effect{Fetch{Conn: 1, From: 4, Upto: 4}, SetTimer{}}, idle},
			step{3, FetchWanted{From: 2}, nil, idle},
			step{3, Failed{Conn: 1, Failure: failure(mailbox.ClassLost)}, []Effect{
				Close{Conn: 1}, ReportFetched{End: end(5), From: 2, Err: failure(mailbox.ClassLost)}, SetTimer{At: at(4)},
			}, backing},
			step{3.5, Fetched{Conn: 1, From: 4, Upto: 4}, nil, backing},
			step{4, Timer{}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			step{4, Failed{Conn: 3, Failure: failure(mailbox.ClassTimeout)}, []Effect{Close{Conn: 3}, SetTimer{At: at(6)}}, backing},
			step{6, Timer{}, []Effect{Open{Conn: 5}, SetTimer{}}, connecting},
			step{6, Failed{Conn: 5, Failure: failure(mailbox.ClassLimit)}, []Effect{Close{Conn: 5}, SetTimer{At: at(10)}}, backing},
		),
		"a fetch wanted while connecting waits for the folder": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, FetchWanted{From: 3}, nil, connecting},
			{1, Opened{Conn: 1, End: end(5), Waits: ByIdle, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(1)}, Fetch{Conn: 1, From: 3, Upto: 4}}, connecting},
		},
		"a refused credential is not tried again before a new one": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{1, Failed{Conn: 1, Failure: failure(mailbox.ClassRefused), Version: 1}, []Effect{Close{Conn: 1}, ReportSuspended{Version: 1, Reason: "refused"}}, suspended},
			{2, Timer{}, nil, suspended},
			{3, Renewed{Version: 1}, nil, suspended},
			{3, Moved{NewSettings(Settings{})}, nil, suspended},
			{4, FetchWanted{From: 1}, []Effect{ReportFetched{From: 1, Err: &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "the listener is suspended: refused"}}}, suspended},
			{5, Renewed{Version: 2}, []Effect{Open{Conn: 3}}, connecting},
		},
		"a credential renewed while the old one is refused gets its attempt": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{1, Renewed{Version: 2}, nil, connecting},
			{2, Failed{Conn: 1, Failure: failure(mailbox.ClassRefused), Version: 1}, []Effect{Close{Conn: 1}, SetTimer{At: at(3)}}, backing},
			{3, Timer{}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			{4, Failed{Conn: 3, Failure: failure(mailbox.ClassRefused), Version: 2}, []Effect{Close{Conn: 3}, ReportSuspended{Version: 2, Reason: "refused"}}, suspended},
		},
		"unexplained refusals suspend at the third": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Failed{Conn: 1, Failure: failure(mailbox.ClassUnexplained), Version: 1}, []Effect{Close{Conn: 1}, SetTimer{At: at(1)}}, backing},
			{1, Timer{}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			{1, Failed{Conn: 3, Failure: failure(mailbox.ClassUnexplained), Version: 1}, []Effect{Close{Conn: 3}, SetTimer{At: at(3)}}, backing},
			{3, Timer{}, []Effect{Open{Conn: 5}, SetTimer{}}, connecting},
			{3, Failed{Conn: 5, Failure: failure(mailbox.ClassUnexplained), Version: 1}, []Effect{Close{Conn: 5}, ReportSuspended{Version: 1, Reason: "doubtful"}}, suspended},
		},
		"a refused master user is tried again for ever": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Failed{Conn: 1, Failure: failure(mailbox.ClassMasterRefused), Version: 1}, []Effect{Close{Conn: 1}, SetTimer{At: at(1)}}, backing},
			{1, Timer{}, []Effect{Open{Conn: 3}, SetTimer{}}, connecting},
			{1, Failed{Conn: 3, Failure: failure(mailbox.ClassMasterRefused), Version: 1}, []Effect{Close{Conn: 3}, SetTimer{At: at(3)}}, backing},
			{3, Timer{}, []Effect{Open{Conn: 5}, SetTimer{}}, connecting},
			{3, Failed{Conn: 5, Failure: failure(mailbox.ClassMasterRefused), Version: 1}, []Effect{Close{Conn: 5}, SetTimer{At: at(7)}}, backing},
			{7, Timer{}, []Effect{Open{Conn: 7}, SetTimer{}}, connecting},
			{8, Opened{Conn: 7, End: end(5), Waits: ByIdle, Version: 1}, []Effect{ReportHead{End: end(5), Noticed: at(8)}, SetTimer{At: at(8.02)}}, connecting},
		},
		"a stopped listener does nothing more": append(opening(),
			step{3, Stop{}, []Effect{Close{Conn: 1}, SetTimer{}}, idle},
			step{4, Noticed{Conn: 1, At: at(4)}, nil, idle},
			step{4, FetchWanted{From: 1}, nil, idle},
			step{5, Renewed{Version: 9}, nil, idle},
		),
		"whose mail store is down waits for word and not for a time": {
			{0, Start{}, []Effect{Open{Conn: 1}}, connecting},
			{0, Failed{Conn: 1, Failure: failure(mailbox.ClassUnavailable), Awaits: true}, []Effect{Close{Conn: 1}}, backing},
			{3600, Timer{}, nil, backing},
			{3600, Retry{}, []Effect{Open{Conn: 3}}, connecting},
			{3600, Retry{}, nil, connecting},
			{3600, Failed{Conn: 3, Failure: failure(mailbox.ClassUnavailable)}, []Effect{Close{Conn: 3}, SetTimer{At: at(3601)}}, backing},
			{3600, Retry{}, []Effect{Open{Conn: 5}, SetTimer{}}, connecting},
			{3600, Failed{Conn: 5, Failure: failure(mailbox.ClassUnavailable)}, []Effect{Close{Conn: 5}, SetTimer{At: at(3602)}}, backing},
			{3600, Retry{Fresh: true}, []Effect{Open{Conn: 7}, SetTimer{}}, connecting},
			{3600, Failed{Conn: 7, Failure: failure(mailbox.ClassUnavailable)}, []Effect{Close{Conn: 7}, SetTimer{At: at(3601)}}, backing},
		},
		"a retry is none of the business of who is well, suspended or stopped": append(opening(),
			step{3, Retry{}, nil, idle},
			step{4, Failed{Conn: 1, Failure: failure(mailbox.ClassNoCredential)}, []Effect{Close{Conn: 1}, ReportSuspended{Version: 1, Reason: "no_credential"}, SetTimer{}}, suspended},
			step{5, Retry{}, nil, suspended},
			step{6, Stop{}, nil, suspended},
			step{7, Retry{}, nil, suspended},
		),
		"changed settings reconnect": append(opening(),
			step{3, Moved{NewSettings(Settings{})}, []Effect{Close{Conn: 1}, Open{Conn: 3}, SetTimer{}}, connecting},
		),
	}
	for name, story := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tell(t, story)
		})
	}
}

func TestBackoffResetsOnlyAfterAStableConnection(t *testing.T) {
	t.Parallel()
	m := newMachine(Settings{})
	now := 0.0
	m.Step(Start{}, at(now))
	fail := func(lived float64) time.Duration {
		m.Step(Opened{Conn: m.conn, End: end(1), Waits: ByIdle}, at(now))
		now += lived
		m.Step(Failed{Conn: m.conn, Failure: failure(mailbox.ClassLost)}, at(now))
		wait := m.wake.Sub(moment.Of(at(now)))
		now += wait.Seconds()
		m.Step(Timer{}, at(now))
		return wait
	}
	var waits []time.Duration
	for range 10 {
		waits = append(waits, fail(299))
	}
	var want []time.Duration
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300} {
		want = append(want, time.Duration(seconds)*time.Second)
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("waits after short lives (-want +got):\n%s", diff)
	}
	if wait := fail(300); wait != time.Second {
		t.Errorf("wait after a stable connection = %v", wait)
	}
}

func TestJitterCoversTheWholeWait(t *testing.T) {
	t.Parallel()
	var asked []time.Duration
	s := NewSettings(Settings{Jitter: func(d time.Duration) time.Duration { asked = append(asked, d); return d / 2 }})
	if got := s.away(3); got != 4*time.Second {
		t.Errorf("backing(3) = %v", got)
	}
	if got := s.away(1000); got != 150*time.Second {
		t.Errorf("backing(1000) = %v", got)
	}
	if got, want := s.refresh(), 28*time.Minute-84*time.Second; got != want {
		t.Errorf("refresh() = %v, want %v", got, want)
	}
	if diff := cmp.Diff([]time.Duration{8 * time.Second, 5 * time.Minute, 168 * time.Second}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestIdleRefreshStaysUnder29Minutes(t *testing.T) {
	t.Parallel()
	if s := NewSettings(Settings{IdleRefresh: time.Hour}); s.refresh() >= 29*time.Minute {
		t.Errorf("refresh() = %v", s.refresh())
	}
	if s := NewSettings(Settings{IdleRefresh: 9 * time.Minute}); s.IdleRefresh != 9*time.Minute {
		t.Errorf("IdleRefresh = %v", s.IdleRefresh)
	}
}
