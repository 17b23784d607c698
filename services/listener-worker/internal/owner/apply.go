// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// listed is a mailbox as the registry lists it, with its mail store.
type listed struct {
	*registryv1.Mailbox
	store *mailv1.MailStore
}

// apply makes the listeners and delivery match what was read of the claims' shards.
func (m *membership) apply(claims []hold.Claim, listing Listing) {
	m.learnStores(listing.Stores)
	read := make(map[shard.ID]map[mailbox.User]listed, len(claims))
	for _, claim := range claims {
		read[claim.ID()] = make(map[mailbox.User]listed)
	}
	for _, box := range listing.Mailboxes {
		user := mailbox.User{Context: box.GetUser().GetContextId(), ID: box.GetUser().GetUserId()}
		// One read is of one backend. What is not ours to run by now is passed over.
		boxes := read[shard.ID{Backend: claims[0].Backend, Number: shard.Of(user.Context, user.ID, m.cfg.Shards)}]
		store := m.stores[box.GetMailStore()]
		if store == nil {
			m.cfg.Log.ErrorContext(m.ctx, "mailbox names a mail store that was not listed", "mail_store", box.GetMailStore())
			continue
		}
		if boxes != nil {
			boxes[user] = listed{box, store}
		}
	}
	for _, claim := range claims {
		m.replace(claim, read[claim.ID()])
	}
}

// learnStores keeps one copy of each mail store, a new one only when it has changed.
func (m *membership) learnStores(stores map[string]*mailv1.MailStore) {
	for name, store := range stores {
		if !proto.Equal(m.stores[name], store) {
			m.stores[name] = store
		}
	}
}

// replace moves a shard from the mailboxes it has to those that were read.
func (m *membership) replace(claim hold.Claim, boxes map[mailbox.User]listed) {
	s := m.shards[claim.ID()]
	if s == nil || s.claim != claim {
		s = &running{claim: claim}
		m.shards[claim.ID()] = s
	}
	for user := range s.boxes {
		if _, stays := boxes[user]; !stays {
			m.listeners.Remove(user)
			m.delivery.Remove(user)
		}
	}
	for user, box := range boxes {
		old, known := s.boxes[user]
		if known && old.store == box.store && proto.Equal(old.Mailbox, box.Mailbox) {
			continue
		}
		// Delivery first: it must know the user when the listener speaks.
		m.delivery.Put(claim, user, box.GetMailStore(), transport.SubscriptionsOf(box.GetSubscriptions()))
		m.listeners.Put(mailbox.Listening{
			User: user, Store: box.store, Permanent: box.GetPermanent(),
			CredentialVersion: box.GetCredentialVersion(), CredentialSlot: box.GetCredentialSlot(),
		})
	}
	s.boxes = boxes
}
