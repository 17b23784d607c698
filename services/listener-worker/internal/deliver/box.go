// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"slices"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// box is one user's mailbox with the subscriptions it is pushed to.
type box struct {
	user          mailbox.User
	store         string
	claim         hold.Claim
	subscriptions []*transport.Subscription
	folders       []folder
	lanes         []*lane

	fetchFrom uint32    // of the fetch that is open; zero without one
	fetchAt   time.Time // when it was asked for
}

// folder is a folder that has shown itself, with its last end.
type folder struct {
	name string
	head pump.Head
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
	}
	b.claim, b.store, b.subscriptions = claim, store, subscriptions
	byID := make(map[string]*transport.Subscription, len(subscriptions))
	for _, subscription := range subscriptions {
		byID[subscription.GetId()] = subscription
	}
	b.lanes = slices.DeleteFunc(b.lanes, func(lane *lane) bool {
		return !l.keepLane(lane, byID[lane.subscription.GetId()])
	})
	for _, folder := range b.folders {
		folder.head.Stale = true
		l.addLanes(b, folder)
	}
}

// head is the end of a folder: known ones move on, a new one gets its lanes.
func (l *Loop) head(b *box, name string, head pump.Head) {
	at := slices.IndexFunc(b.folders, func(f folder) bool { return f.name == name })
	if at < 0 {
		b.folders = append(b.folders, folder{name, head})
		l.addLanes(b, folder{name, head})
		return
	}
	b.folders[at].head = head
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
	if subscription.GetReplay() > lane.subscription.GetReplay() {
		l.remove(lane)
		l.commit.supersede(row{lane.box.claim, subscription.GetId(), lane.folder})
		return false
	}
	l.replace(lane, subscription)
	return true
}

// addLanes makes the lanes that a folder lacks.
func (l *Loop) addLanes(b *box, folder folder) {
	for _, subscription := range b.subscriptions {
		if slices.ContainsFunc(b.lanes, func(lane *lane) bool {
			return lane.folder == folder.name && lane.subscription.GetId() == subscription.GetId()
		}) {
			continue
		}
		at := row{b.claim, subscription.GetId(), folder.name}
		l.addLane(b, folder, subscription, l.commit.latest(at, subscription))
	}
}

func storedCursor(subscription *transport.Subscription, folder string) mailbox.Cursor {
	for _, cursor := range subscription.GetCursors() {
		if cursor.GetFolder() == folder {
			return mailbox.Cursor{UIDValidity: cursor.GetUidValidity(), UID: cursor.GetUid()}
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
	l.fetch(lane.box, from)
}

// fetch asks for mails, once for all lanes that wait for the same.
func (l *Loop) fetch(b *box, from uint32) {
	open := b.fetchFrom != 0 && time.Since(b.fetchAt) < l.policy.FetchTimeout
	if open && b.fetchFrom <= from {
		return // its answer either covers from or makes the pump ask again
	}
	b.fetchFrom, b.fetchAt = from, time.Now()
	l.mailboxes.Fetch(b.user, from)
}

func (l *Loop) fetched(b *box, read mailbox.Read) {
	b.fetchFrom = 0
	event := pump.Fetched{From: read.From, Upto: read.Upto, Failed: read.Err != nil, Mails: read.Mails}
	for _, lane := range b.lanes {
		if event.Failed || lane.folder == read.End.Folder {
			event.Head = headOf(read.End, time.Now())
			l.step(lane, event)
		}
	}
}

func (l *Loop) removeBox(b *box) {
	for _, lane := range b.lanes {
		l.remove(lane)
	}
	b.lanes = nil
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
