// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
)

// patient plays a mail store and a subscriber: mails that come are wanted at once, reads
// are answered as told, and time goes on to the next timer. It returns what was asked for
// and what was delivered, with the seconds since the mail came.
func patient(t *testing.T, head uint32, answer func(f Fetch, at float64) Event, until float64) (asked, told []string) {
	t.Helper()
	m := newMachine(Settings{Settle: time.Hour})
	now := 0.0
	var timer time.Time
	var wanted []Event
	next := uint32(10)
	say := func(list *[]string, format string, args ...any) {
		*list = append(*list, fmt.Sprintf("%4.1f ", now)+fmt.Sprintf(format, args...))
	}
	var happen func(ev Event)
	happen = func(ev Event) {
		var answers []Event
		for _, effect := range append([]Effect(nil), m.Step(ev, at(now))...) {
			switch e := effect.(type) {
			case Open:
				answers = append(answers, Opened{Conn: e.Conn, End: end(head), Waits: ByIdle, Version: 1})
			case Idle:
				answers = append(answers, Idling(e))
			case Check:
				answers = append(answers, Checked{Conn: e.Conn, End: end(head)})
			case Fetch:
				ask := fmt.Sprintf("%d:%d", e.From, e.Upto)
				for _, flag := range []struct {
					name  string
					value uint32
				}{{"most", uint32(e.Most)}, {"gone", e.Gone}, {"known", e.Known}, {"skip", e.Skip}} {
					if flag.value != 0 {
						ask += fmt.Sprintf(" %s %d", flag.name, flag.value)
					}
				}
				say(&asked, "%s", ask)
				answers = append(answers, answer(e, now))
			case SetTimer:
				timer = e.At
			case ReportHead:
				if next < e.End.UIDNext {
					wanted = append(wanted, FetchWanted{From: next})
				}
			case ReportFetched:
				switch {
				case e.Err != nil:
				case e.Upto >= next:
					for _, mail := range e.Mails {
						say(&told, "%d", mail.UID)
					}
					if next = e.Upto + 1; next < head {
						wanted = append(wanted, FetchWanted{From: next})
					}
				}
			}
		}
		for _, ev := range answers {
			happen(ev)
		}
		for len(wanted) > 0 {
			ev := wanted[0]
			wanted = wanted[1:]
			happen(ev)
		}
	}
	happen(Start{})
	for !timer.IsZero() && timer.Sub(epoch).Seconds() <= until {
		now = timer.Sub(epoch).Seconds()
		timer = time.Time{}
		happen(Timer{})
	}
	return asked, told
}

func read(f Fetch, upto uint32, doubt mailbox.Gap, uids ...uint32) Event {
	got := Fetched{Conn: f.Conn, From: f.From, Upto: upto, Detail: f.Detail, Gap: doubt}
	for _, uid := range uids {
		got.Mails = append(got.Mails, mailbox.Mail{UID: uid})
	}
	return got
}

func wantLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// The mails before an absent one go at once, those behind it after eleven seconds, when
// its absence is believed.
func TestAbsentMailIsAskedForAgainAndThenPassedOver(t *testing.T) {
	t.Parallel()
	asked, told := patient(t, 13, func(f Fetch, _ float64) Event {
		switch {
		case f.Gone >= 11:
			return read(f, 12, mailbox.NoGap, 12)
		case f.From == 10:
			return read(f, 10, mailbox.Absent, 10)
		default:
			return read(f, 10, mailbox.Absent)
		}
	}, 100)
	wantLines(t, "asked", asked, []string{" 0.0 10:12", " 1.0 11:12", " 3.0 11:12", " 7.0 11:12", "11.0 11:12 gone 12"})
	wantLines(t, "told", told, []string{" 0.0 10", "11.0 12"})
}

func TestAbsentMailThatIsShownInTimeComes(t *testing.T) {
	t.Parallel()
	asked, told := patient(t, 13, func(f Fetch, at float64) Event {
		if at < 3 {
			return read(f, f.From-1, mailbox.Absent)
		}
		return read(f, 12, mailbox.NoGap, 10, 11, 12)
	}, 100)
	wantLines(t, "asked", asked, []string{" 0.0 10:12", " 1.0 10:12", " 3.0 10:12"})
	wantLines(t, "told", told, []string{" 3.0 10", " 3.0 11", " 3.0 12"})
}

// A mail that cannot be read is tried three times, and announced with what is known.
func TestDamagedMailIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	asked, told := patient(t, 12, func(f Fetch, _ float64) Event {
		switch {
		case f.Known >= 11:
			return read(f, 11, mailbox.NoGap, 11)
		case f.From == 10:
			return read(f, 10, mailbox.Damaged, 10)
		default:
			return read(f, 10, mailbox.Damaged)
		}
	}, 200)
	wantLines(t, "asked", asked, []string{" 0.0 10:11", " 3.0 11:11", "63.0 11:11 known 11"})
	wantLines(t, "told", told, []string{" 0.0 10", "63.0 11"})
}

// It holds up the mails behind it for seconds only.
func TestDamagedMailDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	asked, told := patient(t, 13, func(f Fetch, _ float64) Event {
		switch {
		case f.Known >= 11:
			return read(f, 12, mailbox.NoGap, 11, 12)
		case f.From == 10:
			return read(f, 10, mailbox.Damaged, 10)
		default:
			return read(f, 10, mailbox.Damaged)
		}
	}, 200)
	wantLines(t, "asked", asked, []string{" 0.0 10:12", " 3.0 11:12", " 8.0 11:12 known 12"})
	wantLines(t, "told", told, []string{" 0.0 10", " 8.0 11", " 8.0 12"})
}

// Many unread mails cost no more time than one.
func TestDoubtsAreSharedByTheMailsOfARange(t *testing.T) {
	t.Parallel()
	_, told := patient(t, 20, func(f Fetch, _ float64) Event {
		switch {
		case f.From%2 == 1 && f.Gone < f.From:
			return read(f, f.From-1, mailbox.Absent)
		case f.From%2 == 1:
			return read(f, f.From, mailbox.NoGap)
		case f.From == 18:
			return read(f, 18, mailbox.Absent, 18)
		default:
			return read(f, f.From, mailbox.NoGap, f.From)
		}
	}, 100)
	wantLines(t, "told", told, []string{" 0.0 10", "11.0 12", "11.0 14", "11.0 16", "11.0 18"})
}

// A mail whose reading costs the connection is found by reading fewer, and passed over
// with nothing but its UID after three times.
func TestMailThatCostsTheConnectionIsFound(t *testing.T) {
	t.Parallel()
	asked, told := patient(t, 40, func(f Fetch, _ float64) Event {
		upto := f.Upto
		if f.Most > 0 {
			upto = min(upto, f.From+uint32(f.Most)-1)
		}
		switch {
		case f.Skip == 15:
			return read(f, 15, mailbox.NoGap, 15)
		case f.From <= 15 && upto >= 15:
			failure := &mailbox.Failure{Class: mailbox.ClassLost, Reason: "lost"}
			if f.Most == 1 {
				failure.UID = 15
			}
			return Failed{Conn: f.Conn, Failure: failure}
		}
		var uids []uint32
		for uid := f.From; uid <= upto; uid++ {
			uids = append(uids, uid)
		}
		return read(f, upto, mailbox.NoGap, uids...)
	}, 300)
	if len(told) != 30 {
		t.Errorf("told %d of 30 mails: %v", len(told), told)
	}
	if len(asked) > 45 {
		t.Errorf("asked %d times: %v", len(asked), asked)
	}
}

// Where more mails are counted than there is room for it looks again within seconds, and
// then as usual.
func TestUnsureLookIsRepeatedSoon(t *testing.T) {
	t.Parallel()
	story := opening()
	now := 3.0
	look := func(wait float64) {
		story = append(story,
			step{now, Checked{Conn: 1, End: end(5), Unsure: true}, []Effect{Idle{Conn: 1}}, idle},
			step{now, Idling{Conn: 1}, []Effect{SetTimer{At: at(now + wait)}}, idle})
		now += wait
	}
	story = append(story, step{now, Noticed{Conn: 1, At: at(now)}, []Effect{Check{Conn: 1}, SetTimer{}}, idle})
	for _, wait := range []float64{1, 2, 4, 5} {
		look(wait)
		story = append(story, step{now, Timer{}, []Effect{Check{Conn: 1, Look: mailbox.Sync}, SetTimer{}}, idle})
	}
	look(refresh)
	tell(t, story)
}

// A mail that cannot be read is given up sooner when another comes behind it.
func TestMailThatComesBehindADamagedOneDoesNotWaitLong(t *testing.T) {
	t.Parallel()
	m := newMachine(Settings{})
	m.Step(Start{}, at(0))
	m.Step(Opened{Conn: 1, End: end(11), Waits: ByIdle, Version: 1}, at(0))
	try := func(seconds float64) {
		t.Helper()
		m.Step(FetchWanted{From: 10}, at(seconds))
		m.Step(Fetched{Conn: 1, From: 10, Upto: 9, Gap: mailbox.Damaged}, at(seconds))
		m.Step(Idling{Conn: 1}, at(seconds))
	}
	try(1)
	try(4)
	if until := m.unread.until; until != moment.Of(at(64)) {
		t.Fatalf("held until %v", until.Sub(moment.Of(epoch)))
	}
	m.Step(Noticed{Conn: 1, At: at(10)}, at(10))
	m.Step(Checked{Conn: 1, End: end(12)}, at(10))
	if until := m.unread.until; until != moment.Of(at(15)) {
		t.Errorf("held until %v after another came", until.Sub(moment.Of(epoch)))
	}
}
