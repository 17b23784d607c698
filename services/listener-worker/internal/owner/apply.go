// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// listed is a mailbox as the registry lists it, with its mail store.
type listed struct {
	*registryv1.Mailbox
	store *mailv1.MailStore
	print uint64 // of both
}

// store is a mail store with its fingerprint.
type store struct {
	*mailv1.MailStore
	print uint64
}

// apply makes the listeners and delivery match what was read of the claims' shards: all of
// them, or the users that were asked for. A registry of an earlier release lists others, too.
func (m *membership) apply(claims []hold.Claim, users []userid.User, listing Listing) {
	m.learnStores(listing.Stores)
	asked := askedFor(users)
	read := make(map[shard.ID]map[mailbox.User]listed, len(claims))
	for _, claim := range claims {
		read[claim.ID()] = make(map[mailbox.User]listed)
	}
	contexts := make(map[string]string) // many users share one: so they share its text, too
	for _, box := range listing.Mailboxes {
		user := mailbox.User{Context: box.GetUser().GetContextId(), ID: box.GetUser().GetUserId()}
		// One read is of one backend. What is not ours to run by now is passed over.
		boxes := read[shard.ID{Backend: claims[0].Backend, Number: shard.Of(user.Context, user.ID, m.cfg.Shards)}]
		store, known := m.stores[box.GetMailStore()]
		if !known {
			m.cfg.Log.ErrorContext(m.ctx, "mailbox names a mail store that was not listed", "mail_store", box.GetMailStore())
			continue
		}
		if boxes != nil && asked(user) {
			if _, known := contexts[user.Context]; !known {
				contexts[user.Context] = user.Context
			}
			user.Context = contexts[user.Context]
			boxes[user] = listed{box, store.MailStore, m.prints.of(box, store.print)}
		}
	}
	for _, claim := range claims {
		m.replace(claim, asked, read[claim.ID()])
	}
}

// askedFor tells whether a read was about a user.
func askedFor(users []userid.User) func(mailbox.User) bool {
	if len(users) == 0 {
		return func(mailbox.User) bool { return true }
	}
	named := make(map[mailbox.User]bool, len(users))
	for _, user := range users {
		named[mailbox.User(user)] = true
	}
	return func(user mailbox.User) bool { return named[user] }
}

// learnStores keeps one copy of each mail store, a new one only when it has changed.
func (m *membership) learnStores(stores map[string]*mailv1.MailStore) {
	for name, listed := range stores {
		if !proto.Equal(m.stores[name].MailStore, listed) {
			m.stores[name] = store{listed, m.prints.of(listed, 0)}
		}
	}
}

// replace moves a shard from the mailboxes it has to those that were read. Those that were
// not asked for stay.
func (m *membership) replace(claim hold.Claim, asked func(mailbox.User) bool, read map[mailbox.User]listed) {
	s := m.shards[claim.ID()]
	if s == nil || s.claim != claim {
		s = &running{claim: claim}
		m.shards[claim.ID()] = s
	}
	next := make(boxes, 0, max(len(read), len(s.boxes)))
	for _, old := range s.boxes {
		_, stays := read[old.user]
		switch {
		case !asked(old.user):
			next = append(next, old)
		case !stays && !m.elsewhere(old.user, claim.ID()):
			m.listeners.Dismiss(old.user)
			m.delivery.Remove(old.user)
		}
	}
	for user, now := range read {
		old, known := s.boxes.find(user)
		if known {
			user = old.user // the text that the halls have already
		}
		next = append(next, box{user, now.print})
		if known && old.print == now.print && now.print != 0 {
			continue
		}
		// Delivery first: it must know the user when the listener speaks.
		m.delivery.Put(claim, user, now.store.GetName(), transport.SubscriptionsOf(now.GetSubscriptions()))
		m.listeners.Put(mailbox.Listening{
			User: user, Store: now.store, Login: now.GetLogin(), Permanent: now.GetPermanent(),
			CredentialVersion: now.GetCredentialVersion(), CredentialSlot: now.GetCredentialSlot(),
		})
	}
	next.sort()
	s.boxes = next
}

// elsewhere tells whether a user is in a shard of another backend here, as after the mail
// store's backend was changed: listener and deliveries are that one's by now.
func (m *membership) elsewhere(user mailbox.User, than shard.ID) bool {
	for _, backend := range m.cfg.Backends {
		other := shard.ID{Backend: backend, Number: than.Number}
		if s := m.shards[other]; other != than && s != nil {
			if _, here := s.boxes.find(user); here {
				return true
			}
		}
	}
	return false
}
