// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/hold"
	hash "mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// listed is a mailbox as the registry lists it, with its mail store.
type listed struct {
	*registryv1.Mailbox
	store *mailv1.MailStore
}

// apply makes the listeners and delivery match what was read of the claims' shards.
func (t *tenure) apply(claims []hold.Claim, listing Listing) {
	t.learnStores(listing.Stores)
	read := make(map[place]map[mailbox.User]listed, len(claims))
	for _, claim := range claims {
		read[placeOf(claim)] = make(map[mailbox.User]listed)
	}
	for _, box := range listing.Mailboxes {
		user := mailbox.User{Context: box.GetUser().GetContextId(), ID: box.GetUser().GetUserId()}
		// One read is of one backend. What is not ours to run by now is passed over.
		boxes := read[place{claims[0].Backend, hash.Of(user.Context, user.ID, t.cfg.Shards)}]
		store := t.stores[box.GetMailStore()]
		if store == nil {
			t.cfg.Log.ErrorContext(t.ctx, "mailbox names a mail store that was not listed", "mail_store", box.GetMailStore())
			continue
		}
		if boxes != nil {
			boxes[user] = listed{box, store}
		}
	}
	for _, claim := range claims {
		t.replace(claim, read[placeOf(claim)])
	}
}

// learnStores keeps one copy of each mail store, a new one only when it has changed.
func (t *tenure) learnStores(stores map[string]*mailv1.MailStore) {
	for name, store := range stores {
		if !proto.Equal(t.stores[name], store) {
			t.stores[name] = store
		}
	}
}

// replace moves a shard from the mailboxes it has to those that were read.
func (t *tenure) replace(claim hold.Claim, boxes map[mailbox.User]listed) {
	s := t.shards[placeOf(claim)]
	if s == nil || s.claim != claim {
		s = &shard{claim: claim}
		t.shards[placeOf(claim)] = s
	}
	for user := range s.boxes {
		if _, stays := boxes[user]; !stays {
			t.listeners.Remove(user)
			t.delivery.Remove(user)
		}
	}
	for user, box := range boxes {
		old, known := s.boxes[user]
		if known && old.store == box.store && proto.Equal(old.Mailbox, box.Mailbox) {
			continue
		}
		// Delivery first: it must know the user when the listener speaks.
		t.delivery.Put(claim, user, box.GetMailStore(), transport.SubscriptionsOf(box.GetSubscriptions()))
		t.listeners.Put(listen.Mailbox{
			User: user, Store: box.store, Permanent: box.GetPermanent(),
			CredentialVersion: box.GetCredentialVersion(), CredentialSlot: box.GetCredentialSlot(),
		})
	}
	s.boxes = boxes
}
