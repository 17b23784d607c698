// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"math/rand/v2"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// world plays everything outside a machine, as chance has it, and checks after
// each step what must always be true.
type world struct {
	t       *testing.T
	m       *Machine
	chance  func(n int) int
	now     time.Time
	timer   time.Time
	conn    uint64 // open or opening, 0 for none
	pending Effect // the operation in flight
	refused uint64 // credential version that is refused, while suspended
	held    bool   // suspended
	newest  uint64 // credential version
	wanted  bool   // a fetch was asked for and not answered
	stopped bool
	awaits  bool // somebody else has said to end the back-off
	next    uint32
	told    mailbox.End // as it was last reported
	history []Event
}

// play lets a machine live through what bytes say.
func play(t *testing.T, chance func(n int) int, steps int) {
	t.Helper()
	w := &world{t: t, chance: chance, now: epoch, newest: 1, next: 1}
	w.m = newMachine(Settings{Jitter: func(d time.Duration) time.Duration {
		return time.Duration(chance(1000)) * d / 1000
	}})
	w.step(Start{})
	for range steps {
		w.now = w.now.Add(time.Duration(w.chance(5000)) * time.Millisecond)
		if ev := w.event(); ev != nil {
			w.step(ev)
		}
	}
}

func (w *world) event() Event {
	switch w.chance(13) {
	case 0:
		return Noticed{Conn: w.anyConn(), At: w.now}
	case 1:
		if w.stopped { // nobody asks a removed listener
			return nil
		}
		w.wanted = true
		return FetchWanted{From: uint32(w.chance(10)), Detail: mailbox.Detail(w.chance(2))}
	case 2:
		w.newest += uint64(w.chance(2))
		return Renewed{Version: w.newest}
	case 3:
		if w.chance(20) == 0 {
			return Moved{NewSettings(Settings{})}
		}
		switch w.chance(4) {
		case 0, 1:
			return Reconcile{}
		case 2:
			return Retry{Fresh: w.chance(2) == 0}
		}
		return Timer{} // too early is no harm
	case 4:
		if w.chance(100) == 0 {
			w.stopped = true
			return Stop{}
		}
		return nil
	case 5:
		if w.conn == 0 {
			return nil
		}
		return w.failed()
	case 6, 7:
		if w.timer.IsZero() {
			return nil
		}
		if w.now.Before(w.timer) {
			w.now = w.timer
		}
		w.timer = time.Time{}
		return Timer{}
	case 8:
		return w.hint()
	default:
		return w.answer()
	}
}

// hint is any hint, or one that tells a mail which has just come.
func (w *world) hint() Event {
	hint := mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: 1, UID: uint32(w.chance(int(w.next) + 2)), At: w.now}
	if w.chance(2) == 0 {
		hint.UID = w.next
		hint.Mail = &mailbox.Mail{UID: w.next}
		w.next++
	}
	return Hinted{hint}
}

// anyConn is mostly the present connection, and now and then one that is gone.
func (w *world) anyConn() uint64 {
	if w.conn == 0 || w.chance(10) == 0 {
		return 1 << 40
	}
	return w.conn
}

func (w *world) failed() Event {
	class := mailbox.Class(1 + w.chance(int(mailbox.ClassCredentials)))
	if _, opening := w.pending.(Open); !opening && class <= mailbox.ClassNoCredential {
		class = mailbox.ClassLost
	}
	return Failed{
		Conn: w.conn, Failure: failure(class), Version: uint64(w.chance(int(w.newest) + 1)), Awaits: w.chance(3) == 0,
	}
}

func (w *world) answer() Event {
	pending := w.pending
	w.pending = nil
	w.next += uint32(w.chance(3))
	b := end(w.next)
	switch e := pending.(type) {
	case Open:
		return Opened{Conn: e.Conn, End: b, Waits: Waits(w.chance(3)), Version: w.newest}
	case Idle:
		if w.chance(5) == 0 {
			return IdleRefused{Conn: e.Conn, Reason: "BAD"}
		}
		return Idling(e)
	case Check:
		return Checked{Conn: e.Conn, End: b}
	case Fetch:
		return w.read(e)
	default:
		return nil
	}
}

// read answers a fetch: up to some mail, behind which is another that is absent or
// damaged, unless that is believed already.
func (w *world) read(e Fetch) Event {
	got := Fetched{Conn: e.Conn, From: e.From, Detail: e.Detail, Upto: e.From - 1 + uint32(w.chance(int(e.Upto-e.From)+2))}
	got.Gap = mailbox.Gap(w.chance(3))
	behind := got.Upto + 1
	if got.Gap == mailbox.Absent && behind <= e.Gone || got.Gap == mailbox.Damaged && behind <= e.Known || behind > e.Upto {
		got.Gap = mailbox.NoGap
	}
	if got.Gap == mailbox.NoGap {
		got.Upto = max(got.Upto, e.From)
	}
	return got
}

func (w *world) step(ev Event) {
	w.history = append(w.history, ev)
	if failed, ok := ev.(Failed); ok && failed.Conn == w.conn {
		w.pending = nil
		w.awaits = failed.Awaits
	}
	if renewed, ok := ev.(Renewed); ok && w.held && renewed.Version > w.refused {
		w.held = false
	}
	for _, effect := range w.m.Step(ev, w.now) {
		w.effect(effect)
	}
	w.check()
}

func (w *world) effect(effect Effect) {
	if w.stopped {
		switch effect.(type) {
		case Close, SetTimer:
		default:
			w.fail("did %#v after Stop", effect)
		}
	}
	switch e := effect.(type) {
	case Open:
		if w.conn != 0 {
			w.fail("opened a second connection")
		}
		if w.held {
			w.fail("logged in while suspended")
		}
		w.conn = e.Conn
		w.operate(e, e.Conn)
	case Idle:
		w.operate(e, e.Conn)
	case Check:
		w.operate(e, e.Conn)
	case Fetch:
		if e.From == 0 || e.Upto < e.From {
			w.fail("fetched %d:%d", e.From, e.Upto)
		}
		w.operate(e, e.Conn)
	case Close:
		if e.Conn != w.conn {
			w.fail("closed %d, not %d", e.Conn, w.conn)
		}
		w.conn, w.pending = 0, nil
	case SetTimer:
		w.timer = e.At
	case ReportFetched:
		w.wanted = w.m.fetchWanted
	case ReportSuspended:
		w.held, w.refused = true, e.Version
	case ReportHead:
		if e.Noticed.IsZero() {
			w.fail("a head without a time")
		}
		if e.End.UIDNext < w.told.UIDNext {
			w.fail("took the end back from %d to %d", w.told.UIDNext, e.End.UIDNext)
		}
		w.told = e.End
	case ReportTold:
		if e.Mail.UID != w.told.UIDNext || e.End.UIDNext != e.Mail.UID+1 || e.End.UIDNext > w.next || e.Noticed.IsZero() {
			w.fail("told mail %d of a folder that ended at %d", e.Mail.UID, w.told.UIDNext)
		}
		if w.conn != 0 {
			w.fail("told a mail while it may be looking")
		}
		w.told = e.End
	}
}

func (w *world) operate(e Effect, conn uint64) {
	if conn != w.conn || conn == 0 {
		w.fail("%#v on connection %d", e, w.conn)
	}
	if w.pending != nil {
		w.fail("%#v while %#v is in flight", e, w.pending)
	}
	w.pending = e
}

// check is what holds between steps: something will happen next, no word of the
// mail store is forgotten, and no fetch is.
func (w *world) check() {
	if w.stopped {
		return
	}
	if w.pending == nil && w.timer.IsZero() && w.m.State() != suspended {
		if w.m.State() != backing || !w.awaits {
			w.fail("waits for nothing")
		}
	}
	if w.pending == nil && w.m.changed {
		w.fail("does not look at a change")
	}
	if w.pending == nil && w.wanted {
		w.fail("forgets a fetch")
	}
	if w.m.State() == backing && w.conn != 0 {
		w.fail("keeps a connection while backing off")
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	last := w.history[max(0, len(w.history)-10):]
	for i, ev := range last {
		w.t.Logf("event %d: %#v", len(w.history)-len(last)+i, ev)
	}
	w.t.Fatalf("machine "+format, args...)
}

func TestPropertiesOfRandomLives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		play(t, random.IntN, 400)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{8, 1, 9, 2, 6, 3, 8, 5, 0, 8, 8, 1, 4, 8, 7, 11})
	f.Fuzz(func(t *testing.T, life []byte) {
		play(t, func(n int) int {
			if len(life) == 0 || n <= 0 {
				return 0
			}
			b := int(life[0])
			life = life[1:]
			return b * 257 % n
		}, min(len(life), 1000))
	})
}
