// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/pump"
)

// world is a mailbox, an endpoint and the clock around one pump.
type world struct {
	t       *rapid.T
	pump    *pump.Pump
	now     time.Time
	present map[uint32]bool // the mails in the folder
	next    uint32
	asked   func() pump.Event // answers the open Ready or Fetch
	timer   time.Time
	sent    *pump.Batch
	refused *pump.Batch
	cursor  uint32
	given   map[uint32]int // how often each mail was accepted
}

func (w *world) step(event pump.Event) {
	for _, effect := range w.pump.Step(event, w.now) {
		switch effect := effect.(type) {
		case pump.Ready:
			w.asked = func() pump.Event { return pump.Turn{} }
		case pump.Fetch:
			w.asked = func() pump.Event { return w.read(effect.From) }
		case pump.Send:
			w.request(effect.Batch)
		case pump.Wait:
			w.timer = effect.Until
		case pump.Commit:
			if effect.Cursor.UID < w.cursor {
				w.t.Fatalf("the cursor went back from %d to %d", w.cursor, effect.Cursor.UID)
			}
			w.cursor = effect.Cursor.UID
		case pump.Done:
		}
	}
}

// read answers a fetch with at most 150 UIDs, as a listener may.
func (w *world) read(from uint32) pump.Fetched {
	upto := min(w.next-1, from+149)
	out := pump.Fetched{Head: head(w.next), From: from, Upto: upto}
	for uid := from; uid <= upto; uid++ {
		if w.present[uid] {
			out.Mails = append(out.Mails, pump.Mail{UID: uid, Subject: strings.Repeat("x", int(uid%900))})
		}
	}
	return out
}

func (w *world) request(batch pump.Batch) {
	if w.sent != nil {
		w.t.Fatal("two requests are in flight")
	}
	if batch.From != w.cursor+1 {
		w.t.Fatalf("a batch from %d with the cursor at %d", batch.From, w.cursor)
	}
	if len(batch.Mails) == 0 || len(batch.Mails) > pump.MaxMails {
		w.t.Fatalf("a batch of %d mails", len(batch.Mails))
	}
	if w.refused != nil && w.refused.From == batch.From && w.refused.ID("s", "f") != batch.ID("s", "f") {
		w.t.Fatalf("range %d-%d was tried again as %d-%d", w.refused.From, w.refused.Upto, batch.From, batch.Upto)
	}
	last := uint32(0)
	for _, mail := range batch.Mails {
		if mail.UID <= last || mail.UID < batch.From || mail.UID > batch.Upto {
			w.t.Fatalf("mail %d after %d in the range %d-%d", mail.UID, last, batch.From, batch.Upto)
		}
		last = mail.UID
	}
	w.sent, w.asked = &batch, nil
}

// react lets the outside answer whatever is open.
func (w *world) react(class pump.Class) {
	switch {
	case w.sent != nil:
		batch := w.sent
		w.sent, w.refused = nil, batch
		if class == pump.OK {
			w.refused = nil
			for _, mail := range batch.Mails {
				w.given[mail.UID]++
			}
		}
		w.step(answer(class))
	case w.asked != nil:
		event := w.asked()
		w.asked = nil
		w.step(event)
	default:
		w.now = maxTime(w.now, w.timer)
		w.step(pump.Tick{})
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Whatever the mailbox and the endpoint do: every mail that stays is accepted
// exactly once while the pump lives, in order, in bounded batches.
func TestEveryMailThatStaysIsServedOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, now: epoch(), next: 11, cursor: 10, present: map[uint32]bool{}, given: map[uint32]int{},
			pump: pump.New(policy(), pump.Cursor{UIDValidity: uv, UID: 10}, pump.Options{Confirmed: true}),
		}
		t.Repeat(map[string]func(*rapid.T){
			"mail": func(t *rapid.T) {
				for range rapid.IntRange(1, 120).Draw(t, "count") {
					w.present[w.next] = true
					w.next++
				}
				w.step(head(w.next))
			},
			"expunge": func(t *rapid.T) {
				delete(w.present, uint32(rapid.IntRange(11, int(w.next)).Draw(t, "uid")))
			},
			"react": func(t *rapid.T) {
				w.react(rapid.SampledFrom(pump.Classes()).Draw(t, "class"))
			},
			"renew": func(*rapid.T) { w.step(pump.Renewed{}) },
			"strange": func(t *rapid.T) {
				w.step(pump.Fetched{Failed: rapid.Bool().Draw(t, "failed"), From: 3, Upto: 5, Head: head(w.next)})
			},
		})
		w.step(head(w.next))
		for range 1000 {
			w.react(pump.OK)
		}
		for uid := range w.present {
			if w.given[uid] != 1 {
				t.Fatalf("mail %d was accepted %d times; the folder ends at %d, the cursor is %d", uid, w.given[uid], w.next-1, w.cursor)
			}
		}
	})
}

func TestIDsAreStableAndUnambiguous(t *testing.T) {
	t.Parallel()
	if got, want := pump.EventID("mailpush", "1", "249", "INBOX", 7, 11), "evt_"; len(got) != 30 || !strings.HasPrefix(got, want) {
		t.Errorf("EventID = %q", got)
	}
	ids := map[string]bool{}
	for _, c := range [][4]string{{"i", "1", "23", "INBOX"}, {"i", "12", "3", "INBOX"}, {"i1", "", "23", "INBOX"}, {"i", "1", "23I", "NBOX"}} {
		ids[pump.EventID(c[0], c[1], c[2], c[3], 7, 11)] = true
	}
	if len(ids) != 4 {
		t.Errorf("different mails share an id: %v", ids)
	}
	a := pump.Batch{UIDValidity: 7, From: 11, Upto: 12}
	grown := pump.Batch{UIDValidity: 7, From: 11, Upto: 13}
	if a.ID("sub", "INBOX") == grown.ID("sub", "INBOX") {
		t.Error("a range that has grown keeps its id")
	}
	if (pump.Batch{Kind: pump.Reset, UIDValidity: 7, Upto: 4}).ID("s", "f") != (pump.Batch{Kind: pump.Reset, UIDValidity: 7, Upto: 5}).ID("s", "f") {
		t.Error("a reset changes its id with the end of the folder")
	}
}
