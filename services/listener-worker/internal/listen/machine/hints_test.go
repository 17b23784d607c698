// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"slices"
	"testing"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// waitingMachine is a listener that waits for hints since the second 1, of a folder whose
// next mail is 5.
func waitingMachine(t *testing.T) *Machine {
	t.Helper()
	m := New(NewSettings(Settings{}), 1)
	m.Step(Start{}, at(0))
	m.Step(Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1}, at(0))
	m.Step(Timer{}, at(1))
	if m.State() != waiting {
		t.Fatalf("state %s", m.State())
	}
	return &m
}

// look has the machine look by itself at a time and find the next UID.
func look(m *Machine, seconds float64, next uint32) []Effect {
	var all []Effect
	all = append(all, m.Step(Reconcile{}, at(seconds))...)
	all = append(all, m.Step(Opened{Conn: m.conn, End: end(next), Waits: ByHints, Version: 1}, at(seconds))...)
	return append(all, m.Step(Timer{}, at(seconds+0.1))...)
}

func missed(effects []Effect) bool { return slices.Contains(effects, Effect(ReportMissed{})) }

func TestALookDoesNotEndTheWait(t *testing.T) {
	t.Parallel()
	m := waitingMachine(t)
	since := m.Status(at(1)).Since
	look(m, 20, 5)
	got := m.Status(at(21))
	if got.State != waiting || !got.Since.Equal(since) || !got.LastProof.Equal(at(20)) || !got.LastHint.IsZero() {
		t.Errorf("status %+v", got)
	}
	m.Step(Reconcile{}, at(30))
	m.Step(Failed{Conn: m.conn, Failure: failure(mailbox.ClassUnavailable)}, at(31))
	m.Step(Timer{}, at(40))
	m.Step(Opened{Conn: m.conn, End: end(5), Waits: ByHints, Version: 1}, at(40))
	m.Step(Timer{}, at(41))
	if got := m.Status(at(41)); got.State != waiting || !got.Since.Equal(at(41)) {
		t.Errorf("after a failure: %+v", got)
	}
}

// Reconcile is for who waits: who is looking, or away, looks anyway.
func TestReconcileOnlyOfWhoWaits(t *testing.T) {
	t.Parallel()
	m := waitingMachine(t)
	m.Step(Reconcile{}, at(2))
	if again := m.Step(Reconcile{}, at(2)); len(again) > 0 {
		t.Errorf("while it looks: %v", again)
	}
	m.Step(Failed{Conn: m.conn, Failure: failure(mailbox.ClassUnavailable)}, at(3))
	if away := m.Step(Reconcile{}, at(3)); len(away) > 0 {
		t.Errorf("while it is away: %v", away)
	}
}

// Mail that only a look has found counts as missed when no hint tells of it for long.
func TestMailThatNoHintToldOf(t *testing.T) {
	t.Parallel()
	hint := func(uid uint32) Event {
		return Hinted{mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 1, UID: uid, At: at(12)}}
	}
	for name, c := range map[string]struct {
		between []Event // after the look that found it
		next    uint32  // UIDNEXT as the look finds it
		want    bool
	}{
		"no hint":                    {nil, 6, true},
		"the hint was only slow":     {[]Event{hint(5)}, 6, false},
		"the hint of a later one":    {[]Event{hint(6)}, 7, false},
		"the hint of an earlier one": {[]Event{hint(4)}, 6, true},
		"one that names no mail":     {[]Event{hint(0)}, 6, false},
		"nothing was found":          {nil, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := waitingMachine(t)
			if missed(look(m, 10, c.next)) {
				t.Error("missed at once")
			}
			for _, ev := range c.between {
				if missed(m.Step(ev, at(12))) {
					t.Error("missed too early")
				}
			}
			if m.State() != waiting { // the hint made it look
				m.Step(Opened{Conn: m.conn, End: end(c.next), Waits: ByHints, Version: 1}, at(13))
				m.Step(Timer{}, at(13.1))
			}
			if got := missed(look(m, 20, c.next)); got != c.want {
				t.Errorf("missed: %v, want %v", got, c.want)
			}
			if missed(look(m, 30, c.next)) {
				t.Error("missed twice")
			}
		})
	}
}

// A listener that is told late looks again as soon as its opening says, and says why.
func TestAgainAndNote(t *testing.T) {
	t.Parallel()
	m := New(NewSettings(Settings{}), 1)
	m.Step(Start{}, at(0))
	m.Step(Opened{Conn: 1, End: end(5), Waits: ByHints, Version: 1, Note: "another's", Again: 1e9}, at(0))
	m.Step(Timer{}, at(1))
	if got := m.Status(at(1)); got.State != waiting || got.LastError != "another's" {
		t.Errorf("status %+v", got)
	}
	if effects := m.Step(Timer{}, at(2)); len(effects) == 0 || effects[0] != (Open{Conn: 3}) {
		t.Errorf("did %v", effects)
	}
}
