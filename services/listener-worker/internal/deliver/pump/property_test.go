// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"maps"
	"math"
	"slices"
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
	consent   bool             // the endpoint has given it
	owed      map[uint32]bool  // the mails that are there and have yet to be accepted
	low       uint32           // the lowest end of the folder since the last reset
	high      uint32           // the highest cursor under the UIDVALIDITY that this owner has seen
	void      bool             // what is in flight is of a numbering before
	renewed   bool             // the subscription was, since what is in flight was sent
	mustBe    map[place]string // the ids of the batches that were not accepted, by where they begin
	against   map[string]against
	first     string    // the id of the last item that was tried at the cursor
	resetting bool      // that is a reset
	proof     time.Time // when one behind it was accepted last
	instantly int       // requests refused in a row without time going by
	instant   time.Time
}

// place is where a batch begins.
type place struct {
	reset bool
	from  uint32
}

func placeOf(batch *transport.Batch) place { return place{batch.Reset, batch.From} }

// against is what there is against an item: how often it was refused for good, and since
// when.
type against struct {
	times int
	since time.Time
}

// fault tells whether there is evidence against an item but for what is accepted behind it.
func (a against) fault(now time.Time) bool {
	return a.times >= 3 && now.Sub(a.since) >= 10*time.Minute
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
	c.ask, c.out, c.timer = nil, nil, time.Time{}
	c.high = c.cursor.UID
	c.void, c.renewed, c.instantly = false, false, 0
	c.forget()
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

// forget is that nothing is known of what was refused.
func (c *chaos) forget() {
	c.mustBe, c.against, c.first, c.resetting = make(map[place]string), make(map[string]against), "", false
}

// open is that what is tried behind the cursor need not be what it was.
func (c *chaos) open() {
	for at := range c.mustBe {
		if !at.reset && (c.resetting || at.from != c.cursor.UID+1) {
			delete(c.mustBe, at)
		}
	}
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
	if c.low != math.MaxUint32 {
		c.mustBe = make(map[place]string) // the folder may have come back
	}
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
	c.next, c.mustBe, c.resetting = next, make(map[place]string), false
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
	for at := range c.mustBe {
		if at.reset || at.from <= commit.Cursor.UID || commit.Rewind || commit.Cursor.UIDValidity != c.cursor.UIDValidity {
			delete(c.mustBe, at)
		}
	}
	if commit.Cursor.UIDValidity != c.cursor.UIDValidity {
		c.high = 0
	}
	if skip != nil {
		c.checkSkip()
	}
	defer func() { c.high = max(c.high, commit.Cursor.UID) }()
	last := c.requests
	reset := len(last) > 0 && last[len(last)-1].Reset && (commit.Rewind || commit.Cursor.UIDValidity != c.cursor.UIDValidity)
	switch {
	case reset:
		c.resetting = false
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
		if skip.UIDValidity != commit.Cursor.UIDValidity || skip.From != c.cursor.UID+1 || skip.Upto != commit.Cursor.UID {
			c.t.Fatalf("dead letter %+v, from %v to %v", skip, c.cursor, commit.Cursor)
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

// checkSkip looks at the evidence against what is stepped over, which was tried last.
func (c *chaos) checkSkip() {
	a := c.against[c.requests[len(c.requests)-1].ID("s", "f")]
	if !a.fault(c.now) || c.proof.Before(a.since) && c.now.Sub(a.since) < 24*time.Hour {
		c.t.Fatalf("stepped over at %s with %+v, another was accepted at %s", c.now, a, c.proof)
	}
}

// ahead tells whether a batch is behind another that has not been accepted.
func (c *chaos) ahead(batch *transport.Batch) bool {
	return !batch.Reset && (c.resetting || batch.From != c.cursor.UID+1 || batch.UIDValidity != c.cursor.UIDValidity)
}

// check looks at a request that was just made.
func (c *chaos) check() {
	batch := c.out
	id := batch.ID("s", "f")
	returned := batch.Reset && batch.Upto == c.high // the range may be one of before
	switch {
	case !c.consent:
		c.t.Fatal("a request before the endpoint gave its consent")
	case c.mustBe[placeOf(batch)] != "" && c.mustBe[placeOf(batch)] != id && !returned:
		c.t.Fatalf("range %d-%d is another one than was refused", batch.From, batch.Upto)
	case c.ahead(batch) && (!c.against[c.first].fault(c.now) || len(batch.Mails) != 1):
		c.t.Fatalf("a batch from %d of %d mails at %s, with the cursor at %v and %+v", batch.From, len(batch.Mails), c.now, c.cursor, c.against[c.first])
	case !c.ahead(batch):
		c.first, c.resetting = id, batch.Reset
	}
	if !batch.Reset {
		c.checkMails(batch)
	}
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
	id := batch.ID("s", "f")
	if class == transport.PermanentItem && !c.renewed {
		a := c.against[id]
		if a.times++; a.times == 1 {
			a.since = c.now
		}
		c.against[id] = a
	}
	if class == transport.OK && c.ahead(batch) {
		c.proof = c.now
	}
	c.countInstant(class)
	switch {
	case class == transport.OK && batch.Reset == false && batch.UIDValidity == c.uv:
		delete(c.mustBe, placeOf(batch))
		end := c.low
		if c.ahead(batch) && !c.void { // of the numbering that a reset before it is for
			end = math.MaxUint32
		}
		for uid := batch.From; uid <= min(batch.Upto, end); uid++ {
			delete(c.owed, uid)
		}
	case class == transport.OK, class == transport.PermanentItem && len(batch.Mails) > 1, c.void, c.renewed:
		delete(c.mustBe, placeOf(batch))
	default:
		c.mustBe[placeOf(batch)] = id
	}
	c.renewed = false
	if class != transport.OK || c.void && c.ahead(batch) {
		c.notAccepted()
	}
	c.step(answer(class))
	if c.void {
		c.mustBe, c.void = make(map[place]string), false
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
		delete(c.mustBe, placeOf(c.out))
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
	c.instantly, c.renewed = 0, c.out != nil
	c.forget()
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
			"refuse": func(t *rapid.T) {
				// Until it is open who is at fault, and further.
				end := c.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "minutes")) * time.Minute)
				for n := 0; n < 100 && c.now.Before(end); n++ {
					c.react(transport.PermanentItem)
				}
			},
			"expunge": func(t *rapid.T) {
				defer c.open()
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
		if len(c.owed) > 0 || c.pump.Status(epoch()).State != pump.Idle {
			t.Fatalf("%d mails are owed, %+v", len(c.owed), c.pump.Status(epoch()))
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

// Some mails are refused for ever and the endpoint fails in every way for a while: what it
// would take is never stepped over and comes in order, what it would not take is.
func TestRefusedMailsAreToldFromAnEndpointThatRefuses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]mailv1.Mode{mailv1.Mode_MODE_BATCH, mailv1.Mode_MODE_EACH}).Draw(t, "mode")
		w := newWorld(t, begin(mode))
		bad := rapid.SliceOfNDistinct(rapid.Uint32Range(11, 60), 0, 8, rapid.ID).Draw(t, "bad")
		takes, until := refusing(bad...), time.Time{}
		class := transport.OK
		w.answer = func(batch transport.Batch) transport.Result {
			if w.now.Before(until) {
				return transport.Result{Class: class, Detail: "for a while"}
			}
			return takes(batch)
		}
		for range rapid.IntRange(1, 10).Draw(t, "phases") {
			class = rapid.SampledFrom(append(transport.Classes(), transport.PermanentItem, transport.PermanentItem)).Draw(t, "class")
			until = w.now.Add(time.Duration(rapid.IntRange(0, 3*60*60).Draw(t, "lasts")) * time.Second)
			w.arrive(rapid.IntRange(1, 6).Draw(t, "count"))
			w.run(time.Duration(rapid.IntRange(0, 2*60*60).Draw(t, "seconds")) * time.Second)
		}
		until = w.now
		w.present, w.next = maps.Clone(w.present), max(w.next, 61)
		w.arrive(1) // one that is accepted, behind all others
		w.run(48 * time.Hour)
		w.checkOrder()
		for _, skip := range w.skips {
			if skip.From > skip.Upto || !slices.Contains(bad, skip.Upto) && !slices.ContainsFunc(bad, func(uid uint32) bool { return uid >= skip.From && uid <= skip.Upto }) {
				t.Fatalf("%d-%d was stepped over, bad are %v", skip.From, skip.Upto, bad)
			}
		}
		if end := w.next - 1; w.cursor.UID != end {
			t.Fatalf("the cursor is at %d of %d, bad are %v", w.cursor.UID, end, bad)
		}
	})
}
