// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// chaos is a world in which everything happens that can, and what must be true of it.
type chaos struct {
	*world
	rapid     *rapid.T
	mode      mailv1.Mode
	consent   bool            // the endpoint has given it
	owed      map[uint32]bool // the mails that are there and have yet to be accepted
	low       uint32          // the lowest end of the folder since the last reset
	high      uint32          // the highest cursor under the UIDVALIDITY that this owner has seen
	void      bool            // what is in flight is of a numbering before
	renewed   bool            // the subscription was, since what is in flight was sent
	mustBe    string          // the id of the next batch; empty when it is open
	refusals  int             // of one range for good
	instantly int             // requests refused in a row without time going by
	instant   time.Time
}

func newChaos(t *rapid.T) *chaos {
	c := &chaos{rapid: t, owed: make(map[uint32]bool), low: math.MaxUint32}
	c.world = newWorld(t, nil)
	c.commit = c.judge
	c.restart()
	return c
}

// restart is a new owner who knows the committed cursor. When the folder was renumbered
// or went back before, it learns of that only now.
func (c *chaos) restart() {
	c.mode = rapid.SampledFrom([]mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_LATEST, mailv1.Mode_MODE_EACH}).Draw(c.rapid, "mode")
	c.consent = rapid.Bool().Draw(c.rapid, "confirmed")
	c.pump = pump.New(policy(), c.cursor, pump.Options{Mode: c.mode, Confirmed: c.consent})
	c.ask, c.out, c.mustBe, c.timer = nil, nil, "", time.Time{}
	c.high = c.cursor.UID
	c.void, c.renewed, c.refusals, c.instantly = false, false, 0, 0
	end, renumbered := c.next-1, c.uv != c.cursor.UIDValidity
	if renumbered || c.low < c.cursor.UID {
		c.swallow(max(end, c.cursor.UID))
	}
	c.low = math.MaxUint32 // what has grown beyond the cursor again nobody can tell
	if renumbered || end < c.cursor.UID {
		c.low = end
	}
	c.tell()
}

// step looks at each request that is made.
func (c *chaos) step(event pump.Event) {
	before := c.out
	c.world.step(event)
	if c.out != nil && c.out != before {
		c.ask = nil // what was asked for has been answered
		c.check()
	}
}

// swallow takes out the mails that a reset speaks for.
func (c *chaos) swallow(upto uint32) {
	for uid := range c.owed {
		if uid <= upto {
			delete(c.owed, uid)
		}
	}
}

func (c *chaos) mail(count int) {
	for range count {
		c.owed[c.next] = true
		c.present[c.next] = true
		c.next++
	}
	c.tell()
}

// cut ends the folder at a UID, under the same UIDVALIDITY or another.
func (c *chaos) cut(next uint32, renumbered bool) {
	for uid := range c.present {
		if uid >= next || renumbered {
			delete(c.present, uid)
			delete(c.owed, uid)
		}
	}
	if renumbered {
		c.uv++
	}
	c.next, c.mustBe = next, ""
	switch end := next - 1; {
	case renumbered:
		c.low = end
	case c.uv != c.cursor.UIDValidity || end < c.cursor.UID || c.out != nil && end < c.out.Upto:
		c.low = min(c.low, end)
	}
	c.void = c.out != nil
	c.tell()
}

// judge looks at a commit: nothing that is owed may be passed over.
func (c *chaos) judge(commit pump.Commit, skip *pump.Skip) {
	c.mustBe = ""
	if commit.Cursor.UIDValidity != c.cursor.UIDValidity {
		c.high = 0
	}
	defer func() { c.high = max(c.high, commit.Cursor.UID) }()
	last := c.requests
	reset := len(last) > 0 && last[len(last)-1].Reset && (commit.Rewind || commit.Cursor.UIDValidity != c.cursor.UIDValidity)
	switch {
	case reset:
		if commit.Cursor.UIDValidity == c.uv && commit.Cursor.UID > max(c.low, c.cursor.UID, c.high) && commit.Rewind {
			c.t.Fatalf("a reset took the cursor to %d, beyond the end at %d and what was announced, %d", commit.Cursor.UID, c.low, c.high)
		}
		if commit.Rewind {
			c.swallow(commit.Cursor.UID)
		}
		if commit.Cursor.UIDValidity == c.uv {
			c.low = math.MaxUint32
		}
		return
	case skip != nil:
		if c.refusals != 3 || skip.UIDValidity != commit.Cursor.UIDValidity || skip.From != c.cursor.UID+1 || skip.Upto != commit.Cursor.UID {
			c.t.Fatalf("dead letter %+v after %d tries, from %v to %v", skip, c.refusals, c.cursor, commit.Cursor)
		}
		c.swallow(skip.Upto)
	}
	if commit.Cursor.UIDValidity != c.uv {
		return
	}
	for uid := range c.owed {
		if uid <= min(commit.Cursor.UID, c.low) {
			c.t.Fatalf("mail %d was passed over by the cursor from %v to %v", uid, c.cursor, commit.Cursor)
		}
	}
}

// check looks at a request that was just made.
func (c *chaos) check() {
	batch := c.out
	id := batch.ID("s", "f")
	returned := batch.Reset && batch.Upto == c.high // the range may be one of before
	switch {
	case !c.consent:
		c.t.Fatal("a request before the endpoint gave its consent")
	case c.mustBe != "" && c.mustBe != id && !returned:
		c.t.Fatalf("range %d-%d is another one than was refused", batch.From, batch.Upto)
	case batch.Reset:
		return
	case batch.From != c.cursor.UID+1 || batch.UIDValidity != c.cursor.UIDValidity:
		c.t.Fatalf("a batch from %d with the cursor at %v", batch.From, c.cursor)
	}
	c.checkMails(batch)
}

func (c *chaos) checkMails(batch *transport.Batch) {
	most := map[mailv1.Mode]int{mailv1.Mode_MODE_BATCH: pump.MaxMails, mailv1.Mode_MODE_EACH: 1, mailv1.Mode_MODE_LATEST: 1}[c.mode]
	if len(batch.Mails) == 0 || len(batch.Mails) > most || c.mode != mailv1.Mode_MODE_LATEST && batch.Count != len(batch.Mails) {
		c.t.Fatalf("mode %v: %d mails, count %d", c.mode, len(batch.Mails), batch.Count)
	}
	last := batch.From - 1
	for _, mail := range batch.Mails {
		if mail.UID <= last || mail.UID > batch.Upto {
			c.t.Fatalf("mail %d after %d in the range %d-%d", mail.UID, last, batch.From, batch.Upto)
		}
		last = mail.UID
	}
	there := 0
	for uid := batch.From; uid <= batch.Upto && batch.UIDValidity == c.uv; uid++ {
		if c.present[uid] {
			there++
		}
		if c.mode == mailv1.Mode_MODE_LATEST && uid > last && c.present[uid] {
			c.t.Fatalf("mail %d is newer than the newest, %d", uid, last)
		}
	}
	if there > batch.Count {
		c.t.Fatalf("%d mails are there, %d were counted", there, batch.Count)
	}
}

// react lets the outside answer whatever is open.
func (c *chaos) react(class transport.Class) {
	switch {
	case c.out != nil:
		c.respond(class)
	case c.ask != nil:
		event := c.ask()
		if ping, ok := event.(pump.Pinged); ok {
			ping.Result.Class = class
			c.consent = c.consent || class == transport.OK
			event = ping
		}
		c.ask = nil
		c.step(event)
	default:
		if c.timer.After(c.now) {
			c.now = c.timer
		}
		c.step(pump.Tick{})
	}
}

func (c *chaos) respond(class transport.Class) {
	batch := c.out
	c.out = nil
	if class == transport.PermanentItem && !c.renewed {
		if id := batch.ID("s", "f"); id != c.mustBe {
			c.refusals = 0
		}
		c.refusals++
	}
	c.countInstant(class)
	switch {
	case class == transport.OK && batch.Reset == false && batch.UIDValidity == c.uv:
		c.mustBe = ""
		for uid := batch.From; uid <= min(batch.Upto, c.low); uid++ {
			delete(c.owed, uid)
		}
	case class == transport.OK, class == transport.PermanentItem && len(batch.Mails) > 1, c.void, c.renewed:
		c.mustBe = ""
	default:
		c.mustBe = batch.ID("s", "f")
	}
	c.renewed = false
	if class != transport.OK {
		c.notAccepted()
	}
	c.step(answer(class))
	if c.void {
		c.mustBe, c.void = "", false
	}
}

// notAccepted is that nothing that the end went below has been accepted after all.
func (c *chaos) notAccepted() {
	if c.uv == c.cursor.UIDValidity && c.low >= c.cursor.UID {
		c.low = math.MaxUint32
	}
}

// postpone is that a request has not been made.
func (c *chaos) postpone() {
	if c.out == nil {
		return
	}
	c.renewed = false
	if c.out.Attempt == 1 || c.void {
		c.mustBe = ""
	}
	c.out, c.void = nil, false
	c.notAccepted()
	c.step(pump.Postponed{})
}

// countInstant holds that an endpoint which refuses is not asked without end at once.
func (c *chaos) countInstant(class transport.Class) {
	if class == transport.OK || !c.instant.Equal(c.now) {
		c.instantly = 0
	}
	c.instant = c.now
	if c.instantly++; c.instantly > 10 {
		c.t.Fatal("it spins")
	}
}

func (c *chaos) renew() {
	c.mode = rapid.SampledFrom([]mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_LATEST, mailv1.Mode_MODE_EACH}).Draw(c.rapid, "mode")
	c.consent = rapid.Bool().Draw(c.rapid, "confirmed")
	c.mustBe, c.refusals, c.instantly, c.renewed = "", 0, 0, c.out != nil
	c.step(pump.Renewed{Mode: c.mode, Confirmed: c.consent})
}

// Whatever the mailbox, the endpoint and the owners do: every mail that stays is
// accepted, told as a dead letter, or spoken for by a reset; in order, in bounded
// batches, with ids that stay.
func TestNoMailThatStaysIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newChaos(t)
		class := rapid.SampledFrom(append(transport.Classes(), transport.OK, transport.OK, transport.PermanentItem))
		t.Repeat(map[string]func(*rapid.T){
			"mail":    func(t *rapid.T) { c.mail(rapid.IntRange(1, 240).Draw(t, "count")) },
			"react":   func(t *rapid.T) { c.react(class.Draw(t, "class")) },
			"react 2": func(t *rapid.T) { c.react(class.Draw(t, "class")); c.react(class.Draw(t, "class")) },
			"expunge": func(t *rapid.T) {
				from, count := rapid.IntRange(1, int(c.next)).Draw(t, "from"), rapid.SampledFrom([]int{1, 5, 300}).Draw(t, "count")
				for uid := from; uid < from+count; uid++ {
					delete(c.present, uint32(uid))
					delete(c.owed, uint32(uid))
				}
			},
			"renumber": func(t *rapid.T) { c.cut(uint32(rapid.IntRange(1, 50).Draw(t, "next")), true) },
			"regress":  func(t *rapid.T) { c.cut(uint32(rapid.IntRange(1, int(c.next)).Draw(t, "next")), false) },
			"renew":    func(*rapid.T) { c.renew() },
			"restart":  func(*rapid.T) { c.restart() },
			"awake":    func(*rapid.T) { c.step(pump.Awake{}) },
			"postpone": func(*rapid.T) { c.postpone() },
			"somebody else's": func(t *rapid.T) {
				page := c.read(uint32(rapid.IntRange(1, int(c.next)).Draw(t, "from")))
				page.Failed = rapid.Bool().Draw(t, "failed")
				c.step(page)
			},
		})
		for range 2000 {
			c.react(transport.OK)
		}
		if len(c.owed) > 0 || c.pump.Status().State != pump.Idle {
			t.Fatalf("%d mails are owed, %+v", len(c.owed), c.pump.Status())
		}
	})
}

// However mail comes, gathering bounds the pushes: six in the first minute, and no
// more than that in any minute after.
func TestPushesAreBoundedHoweverMailComes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, begin(mailv1.Mode_MODE_LATEST))
		for _, gap := range rapid.SliceOfN(rapid.IntRange(1, 40_000), 1, 400).Draw(t, "gaps") {
			w.arrive(1)
			w.run(time.Duration(gap) * time.Millisecond)
		}
		minutes := int(w.now.Sub(epoch())/time.Minute) + 1
		if len(w.requests) > 6*minutes {
			t.Fatalf("%d pushes in %d minutes", len(w.requests), minutes)
		}
	})
}
