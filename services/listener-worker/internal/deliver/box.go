// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"slices"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/moment"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// box is one user's mailbox with the subscriptions it is pushed to.
type box struct {
	user          mailbox.User
	store         string
	claim         hold.Claim
	subscriptions []*transport.Subscription
	late          map[string]bool // subscriptions that came when the mailbox was there already
	folders       []folder
	lanes         []*lane

	fetch fetch
	told  *told // nil when there is nothing that need not be read
}

// fetch is the read of a mailbox that is open.
type fetch struct {
	from   uint32 // zero when none is
	detail mailbox.Detail
	at     moment.Moment // when it was asked for
}

// answeredBy tells whether a read is what was asked for, or all that comes of it. Another
// one was asked for earlier, and what was asked for since is still to come.
func (f fetch) answeredBy(read mailbox.Read) bool {
	return read.Err != nil || read.From <= f.from && read.Detail.Serves(f.detail)
}

// folder is a folder that has shown itself, with its last end.
type folder struct {
	name                         string
	noticed                      moment.Moment
	uidValidity, uidNext, unread uint32
}

func folderOf(name string, head pump.Head) folder {
	return folder{name, moment.Of(head.Noticed), head.UIDValidity, head.UIDNext, head.Unread}
}

// head is the last end, of before anything is known now.
func (f folder) head(now time.Time) pump.Head {
	return pump.Head{UIDValidity: f.uidValidity, UIDNext: f.uidNext, Unread: f.unread, Noticed: f.noticed.Time(now), Stale: true}
}

// Put adds a mailbox at a mail store, or replaces its subscriptions and the claim it is
// held by. A subscription that stays goes on where it is, whatever cursor the registry
// shows, unless it is to be replayed.
func (l *Loop) Put(claim hold.Claim, user mailbox.User, store string, subscriptions []*transport.Subscription) {
	l.loop.Post(func() { l.put(claim, user, store, subscriptions) })
}

// Remove takes a mailbox out, with what is in flight for it.
func (l *Loop) Remove(user mailbox.User) {
	l.loop.Post(func() {
		if b := l.boxes[user]; b != nil {
			l.removeBox(b)
		}
	})
}

// Drop takes all mailboxes of the claims out at once; nothing more is sent or stored
// for them.
func (l *Loop) Drop(claims []hold.Claim) {
	set := setOf(claims)
	l.loop.Post(func() { l.drop(set) })
}

// Head takes in where a user's folder ends; see listen.Sink.
func (l *Loop) Head(user mailbox.User, end mailbox.End, noticed time.Time) {
	l.loop.Post(func() {
		if b := l.boxes[user]; b != nil {
			l.head(b, end.Folder, headOf(end, noticed))
		}
	})
}

// Fetched takes in what a mailbox held; see listen.Sink.
func (l *Loop) Fetched(read mailbox.Read) {
	l.loop.Post(func() {
		if b := l.boxes[read.User]; b != nil {
			l.fetched(b, read)
		}
	})
}

func headOf(end mailbox.End, noticed time.Time) pump.Head {
	return pump.Head{UIDValidity: end.UIDValidity, UIDNext: end.UIDNext, Unread: end.Unseen, Noticed: noticed}
}

func (l *Loop) put(claim hold.Claim, user mailbox.User, store string, subscriptions []*transport.Subscription) {
	b := l.boxes[user]
	if b == nil {
		b = &box{user: user}
		l.boxes[user] = b
	} else {
		b.late = newIn(subscriptions, b.subscriptions)
	}
	b.claim, b.store, b.subscriptions = claim, store, subscriptions
	byID := make(map[string]*transport.Subscription, len(subscriptions))
	for _, subscription := range subscriptions {
		byID[subscription.ID] = subscription
	}
	b.lanes = slices.DeleteFunc(b.lanes, func(lane *lane) bool {
		return !l.keepLane(lane, byID[lane.subscription.ID])
	})
	for _, folder := range b.folders {
		l.addLanes(b, folder.name, folder.head(time.Now()))
	}
}

// newIn names the subscriptions that are not among those of before: somebody has made or
// enabled them just now, and wants to see what comes of it.
func newIn(now, before []*transport.Subscription) map[string]bool {
	var out map[string]bool
	for _, subscription := range now {
		if slices.ContainsFunc(before, func(old *transport.Subscription) bool { return old.ID == subscription.ID }) {
			continue
		}
		if out == nil {
			out = make(map[string]bool)
		}
		out[subscription.ID] = true
	}
	return out
}

// head is the end of a folder: known ones move on, a new one gets its lanes.
func (l *Loop) head(b *box, name string, head pump.Head) {
	if b.told != nil && !b.told.ends(name, head) {
		l.forgetTold(b)
	}
	at := slices.IndexFunc(b.folders, func(f folder) bool { return f.name == name })
	if at < 0 {
		b.folders = append(b.folders, folderOf(name, head))
		l.addLanes(b, name, head)
		return
	}
	b.folders[at] = folderOf(name, head)
	for _, lane := range b.lanes {
		if lane.folder == name {
			l.step(lane, head)
		}
	}
}

// keepLane takes in what the registry now says of a lane's subscription, nil when
// nothing. It returns false when the lane is over: a replay begins with another one at
// the cursor that is listed, whatever this one has come to.
func (l *Loop) keepLane(lane *lane, subscription *transport.Subscription) bool {
	if subscription == nil || l.transports[subscription.Target.Kind] == nil {
		l.remove(lane)
		return false
	}
	if subscription.Replay > lane.subscription.Replay {
		l.remove(lane)
		l.commit.supersede(row{lane.box.claim, subscription.ID, lane.folder})
		return false
	}
	l.replace(lane, subscription)
	return true
}

// addLanes makes the lanes that a folder lacks.
func (l *Loop) addLanes(b *box, folder string, head pump.Head) {
	for _, subscription := range b.subscriptions {
		if slices.ContainsFunc(b.lanes, func(lane *lane) bool {
			return lane.folder == folder && lane.subscription.ID == subscription.ID
		}) {
			continue
		}
		l.addLane(b, folder, head, subscription)
	}
}

func storedCursor(subscription *transport.Subscription, folder string) mailbox.Cursor {
	for _, cursor := range subscription.Cursors {
		if cursor.Folder == folder {
			return cursor.Cursor
		}
	}
	return mailbox.Cursor{}
}

// fetchFor reads the mailbox for a lane; one that is over begins nothing new.
func (l *Loop) fetchFor(lane *lane, from uint32) {
	if lane.gone {
		l.turns.Done(lane)
		return
	}
	if lane.told(from) != nil {
		l.loop.Post(func() { l.answerTold(lane, from) }) // the pump is in the middle of a step
		return
	}
	l.fetch(lane.box, from)
}

// fetch asks for mails, once for all lanes that wait for the same, in the detail that the
// one of them needs that is told most.
func (l *Loop) fetch(b *box, from uint32) {
	detail, now := b.detail(), moment.Of(time.Now())
	open := b.fetch.from != 0 && now.Sub(b.fetch.at) < l.policy.FetchTimeout
	if open && b.fetch.from <= from && b.fetch.detail.Serves(detail) {
		return // its answer either covers from or makes the pump ask again
	}
	b.fetch = fetch{from, detail, now}
	l.mailboxes.Fetch(b.user, from, detail)
}

// detail is how much of each mail is wanted by the lanes that a read now serves. Others,
// such as those whose endpoint fails, ask when they are ready, and count then.
func (b *box) detail() mailbox.Detail {
	detail := mailbox.UIDs
	for _, lane := range b.lanes {
		if lane.pump.Reads() {
			detail = detail.With(lane.detail())
		}
	}
	return detail
}

// fetched gives what was read to the lanes that wait for it.
func (l *Loop) fetched(b *box, read mailbox.Read) {
	if b.fetch.answeredBy(read) {
		b.fetch = fetch{}
	}
	for _, lane := range b.lanes {
		if read.Err != nil || lane.folder == read.End.Folder {
			l.step(lane, lane.fetched(read))
		}
	}
}

// fetched is what a lane takes of a read. One of less than it is told covers nothing, so
// that its pump asks again. Of one of more it takes no more than its own would have
// brought: what fits into a batch, and so the batch's id, is the same at every try,
// whoever else reads along.
func (lane *lane) fetched(read mailbox.Read) pump.Fetched {
	event := pump.Fetched{Head: headOf(read.End, time.Now()), Failed: read.Err != nil}
	if !read.Detail.Serves(lane.detail()) {
		return event
	}
	event.From, event.Upto, event.Mails = read.From, read.Upto, read.Mails
	if lane.detail() == mailbox.UIDs {
		event.Mails = make([]mailbox.Mail, len(read.Mails))
		for i, mail := range read.Mails {
			event.Mails[i] = mailbox.Mail{UID: mail.UID}
		}
	}
	return event
}

func (l *Loop) removeBox(b *box) {
	for _, lane := range b.lanes {
		l.remove(lane)
	}
	b.lanes = nil
	l.forgetTold(b)
	delete(l.boxes, b.user)
}

func (l *Loop) drop(claims claimSet) {
	for _, b := range l.boxes {
		if claims[b.claim] {
			l.removeBox(b)
		}
	}
	for _, d := range l.drains {
		d.cut(func(lane *lane) bool { return claims[lane.box.claim] })
	}
	l.commit.forget(claims)
	l.reports.forget(claims)
	l.settleDrains()
}
