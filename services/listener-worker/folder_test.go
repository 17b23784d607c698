// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

func TestMailExpungedBeforeDeliveryIsCountedAndPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.listens(d.user)
	d.hook.busyFor(everything)
	d.deliver("one")
	receive(t, "first try", d.hook.got)
	d.deliver("two", "three")
	d.expunge(2)
	d.hook.busyFor(subject("two")) // a session may see the mail for a moment more
	d.tells("mail:new", 1, "one")
	d.tells("mail:new", 3, "three")
	d.stored(3)
	if n := d.vanished(); n != 1 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

// The range that was tried is tried again as it was, with what is left in it.
func TestMailExpungedBetweenTriesIsPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	_, id, stop := d.listens(d.user)
	stop()
	d.deliver("one", "two", "three")
	d.hook.busyFor(everything)
	d.startWorker()
	d.plan(d.joined(id), 2, 11, all()...)
	if push := receive(t, "first try", d.hook.got); len(push.body.Data.Events) != 3 {
		t.Fatalf("first tried: %+v", push)
	}
	d.expunge(2)
	d.hook.busyFor(subject("two")) // a session may see the mail for a moment more
	d.tells("mail:new", 3, "one", "three")
	d.stored(3)
	if n := d.vanished(); n != 1 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

func TestAllMailExpungedBeforeDeliveryIsPassedOver(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.listens(d.user)
	d.hook.busyFor(everything)
	d.deliver("one")
	receive(t, "first try", d.hook.got)
	d.deliver("two", "three")
	d.expunge(1, 2, 3)
	d.stored(3) // nobody waits for the endpoint to work
	d.hook.busyFor(nil)
	d.deliver("new")
	d.tells("mail:new", 4, "new")
	d.stored(4)
	if n := d.vanished(); n != 3 {
		t.Errorf("%v mails are counted as vanished", n)
	}
}

func TestNewUIDValidityIsOneReset(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.deliver("old", "older")
	d.listens(d.user)
	d.deliver("last")
	before := d.tells("mail:new", 3, "last")
	d.stored(3)
	if err := d.server.Renumber(d.user.GetUserId()); err != nil {
		t.Fatal(err)
	}
	d.server.Drop()
	after := d.tells("mailbox:reset", 3)
	if stored := d.stored(3); after == before || stored != after {
		t.Errorf("UIDVALIDITY %d became %d, stored is %d", before, after, stored)
	}
	d.deliver("new")
	if got := d.tells("mail:new", 4, "new"); got != after {
		t.Errorf("UIDVALIDITY %d is %d now", after, got)
	}
	d.stored(4)
}

func TestRenamedInboxGoesOn(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.deliver("old", "older")
	d.listens(d.user)
	d.renameInbox("Old")
	d.deliver("new")
	d.tells("mail:new", 3, "new")
	d.stored(3)
}

// Dovecot answers for the folder that a session has open, also when there is another
// in its place.
func TestInboxReplacedUnderASessionIsFound(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.registry.stores[0].IdleRefresh = durationpb.New(200 * time.Millisecond)
	swap := func() {
		if err := d.server.Swap(d.user.GetUserId()); err != nil {
			t.Fatal(err)
		}
	}
	d.deliver("backup", "backup too")
	swap()
	d.deliver("old", "older", "oldest")
	d.listens(d.user)
	swap()
	d.tells("mailbox:reset", 2)
	d.deliver("new")
	d.tells("mail:new", 3, "new")
	d.stored(3)
}
