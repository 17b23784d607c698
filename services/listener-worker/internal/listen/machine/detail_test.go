// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"slices"
	"testing"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// openedAt is a listener at the end of a folder, with nothing in flight.
func openedAt(next uint32) *Machine {
	m := newMachine(Settings{})
	m.Step(Start{}, at(0))
	m.Step(Opened{Conn: 1, End: end(next), Waits: ByIdle, Version: 1}, at(0))
	return m
}

// asked is what an event has read, and whether a wish is refused. IDLE stands at once.
func asked(m *Machine, ev Event, seconds float64) (fetch *Fetch, refused bool) {
	for events := []Event{ev}; len(events) > 0; events = events[1:] {
		for _, effect := range m.Step(events[0], at(seconds)) {
			switch e := effect.(type) {
			case Fetch:
				fetch = &e
			case ReportFetched:
				refused = e.Err != nil
			case Idle:
				events = append(events, Idling(e))
			}
		}
	}
	return fetch, refused
}

// What is wanted before the reading begins is read once, from the lowest UID on and in the
// most detail.
func TestWishesAreOneReadInTheMostDetail(t *testing.T) {
	t.Parallel()
	wishes := []FetchWanted{{7, mailbox.UIDs}, {5, mailbox.UIDs}, {6, mailbox.Envelopes}}
	for range wishes {
		wishes = append(wishes[1:], wishes[0])
		m := newMachine(Settings{})
		m.Step(Start{}, at(0))
		all := func() {
			for _, wish := range wishes {
				if fetch, _ := asked(m, wish, 1); fetch != nil {
					t.Fatalf("reads %+v while it opens or reads", *fetch)
				}
			}
		}
		want := Fetch{Conn: 1, From: 5, Upto: 9, Detail: mailbox.Envelopes}
		all()
		if fetch, _ := asked(m, Opened{Conn: 1, End: end(10), Waits: ByIdle, Version: 1}, 1); fetch == nil || *fetch != want {
			t.Fatalf("reads %+v, want %+v", fetch, want)
		}
		all()
		if fetch, _ := asked(m, Fetched{Conn: 1, From: 5, Upto: 9}, 2); fetch == nil || *fetch != want {
			t.Errorf("reads %+v, want %+v", fetch, want)
		}
		if fetch, _ := asked(m, Fetched{Conn: 1, From: 5, Upto: 9}, 3); fetch != nil {
			t.Errorf("reads %+v as well", *fetch)
		}
		if fetch, _ := asked(m, FetchWanted{From: 9, Detail: mailbox.UIDs}, 4); fetch == nil || fetch.Detail != mailbox.UIDs {
			t.Errorf("reads %+v, where UIDs are wanted", fetch)
		}
	}
}

// A header that cannot be read holds up those who are told of it, and nobody else, and the
// others' reads do not begin its trial anew.
func TestDamageOfAHeaderHoldsUpNobodyWhoDoesNotWantIt(t *testing.T) {
	t.Parallel()
	m := openedAt(12)
	damaged := Fetched{Conn: 1, From: 10, Upto: 9, Gap: mailbox.Damaged}
	rich, thin := FetchWanted{From: 10}, FetchWanted{From: 10, Detail: mailbox.UIDs}
	now := 1.0
	for try := range 2 {
		fetch, _ := asked(m, rich, now)
		if fetch == nil || fetch.Known != 0 {
			t.Fatalf("try %d: %+v", try, fetch)
		}
		asked(m, damaged, now)
		if fetch, refused := asked(m, rich, now); fetch != nil || !refused {
			t.Fatalf("try %d is followed at once by %+v", try, fetch)
		}
		fetch, refused := asked(m, thin, now)
		if refused || fetch == nil || fetch.From != 10 || fetch.Upto != 11 || fetch.Detail != mailbox.UIDs {
			t.Fatalf("UIDs are read as %+v, want all of them at once", fetch)
		}
		asked(m, Fetched{Conn: 1, From: 10, Upto: 11, Detail: mailbox.UIDs, Mails: []mailbox.Mail{{UID: 10}, {UID: 11}}}, now)
		if fetch, refused := asked(m, rich, now); fetch != nil || !refused {
			t.Fatalf("after the UIDs try %d is followed at once by %+v", try, fetch)
		}
		now += 10
	}
	if fetch, _ := asked(m, rich, now); fetch == nil || fetch.Known != 11 {
		t.Errorf("the third try is %+v, want one that takes the mail as it is", fetch)
	}
}

// Nor does a read of less begin the trial anew where the wait for the mail was cut short.
func TestTrialOfAHeaderGoesOnWhateverElseIsRead(t *testing.T) {
	t.Parallel()
	m := openedAt(12)
	damaged := func(from uint32, now float64) {
		t.Helper()
		if fetch, _ := asked(m, FetchWanted{From: from}, now); fetch == nil || fetch.Known != 0 {
			t.Fatalf("from %d: %+v", from, fetch)
		}
		asked(m, Fetched{Conn: 1, From: from, Upto: 10, Gap: mailbox.Damaged}, now)
	}
	damaged(10, 1)
	asked(m, FetchWanted{From: 10}, 1) // by who has not seen what is before it
	asked(m, Fetched{Conn: 1, From: 10, Upto: 10}, 1)
	asked(m, FetchWanted{From: 11, Detail: mailbox.UIDs}, 1)
	asked(m, Fetched{Conn: 1, From: 11, Upto: 11, Detail: mailbox.UIDs}, 1)
	damaged(11, 10)
	if fetch, _ := asked(m, FetchWanted{From: 11}, 100); fetch == nil || fetch.Known != 11 {
		t.Errorf("the third try is %+v, want one that takes the mail as it is", fetch)
	}
}

// A mail that is not shown at all, or refused whatever is asked of it, holds up everybody.
func TestWhatNobodyCanReadHoldsUpEverybody(t *testing.T) {
	t.Parallel()
	for _, gap := range []mailbox.Gap{mailbox.Absent, mailbox.Damaged} {
		m := openedAt(12)
		asked(m, FetchWanted{From: 10, Detail: mailbox.UIDs}, 1)
		asked(m, Fetched{Conn: 1, From: 10, Upto: 9, Detail: mailbox.UIDs, Gap: gap}, 1)
		for _, detail := range []mailbox.Detail{mailbox.Envelopes, mailbox.UIDs} {
			if fetch, refused := asked(m, FetchWanted{From: 10, Detail: detail}, 1); fetch != nil || !refused {
				t.Errorf("gap %d: it is asked for at once: %+v", gap, fetch)
			}
		}
		if gap == mailbox.Absent {
			continue
		}
		asked(m, FetchWanted{From: 10}, 20)
		asked(m, Fetched{Conn: 1, From: 10, Upto: 9, Gap: gap}, 20)
		if fetch, _ := asked(m, FetchWanted{From: 10, Detail: mailbox.UIDs}, 100); fetch == nil || fetch.Known != 11 {
			t.Errorf("tries in different detail are not counted together: %+v", fetch)
		}
	}
}

// A life with wishes of one detail alone is the same in the other: only how much is read of
// a mail differs.
func TestDetailChangesNothingButWhatIsRead(t *testing.T) {
	t.Parallel()
	run := func(detail mailbox.Detail) []Fetch {
		m := openedAt(12)
		var all []Fetch
		for i, gap := range []mailbox.Gap{mailbox.Absent, mailbox.Damaged, mailbox.Damaged, mailbox.Damaged, mailbox.NoGap} {
			now := float64(100 * (i + 1))
			fetch, _ := asked(m, FetchWanted{From: 10, Detail: detail}, now)
			if fetch == nil {
				t.Fatalf("nothing is read at %v", now)
			}
			if fetch.Detail != detail {
				t.Errorf("detail %d is read as %d", detail, fetch.Detail)
			}
			upto := uint32(9)
			if gap == mailbox.NoGap {
				upto = 11
			}
			asked(m, Fetched{Conn: 1, From: 10, Upto: upto, Detail: detail, Gap: gap}, now)
			fetch.Detail = mailbox.Envelopes
			all = append(all, *fetch)
		}
		return all
	}
	if rich, thin := run(mailbox.Envelopes), run(mailbox.UIDs); !slices.Equal(rich, thin) {
		t.Errorf("envelopes are read as %+v, UIDs as %+v", rich, thin)
	}
}
