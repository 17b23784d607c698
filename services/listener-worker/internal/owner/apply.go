// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"google.golang.org/protobuf/proto"

	hash "mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
)

// mailbox is what is run for a user.
type mailbox struct {
	*registryv1.Mailbox
	store *mailv1.MailStore
}

// apply makes the listeners and delivery match what was read of the shards.
func (t *tenure) apply(backend string, shards map[place]*shard, listing Listing) {
	t.learnStores(listing.Stores)
	read := make(map[place]map[listen.User]mailbox, len(shards))
	for _, listed := range listing.Mailboxes {
		user := listen.User{Context: listed.GetUser().GetContextId(), ID: listed.GetUser().GetUserId()}
		at := place{backend, hash.Of(user.Context, user.ID, t.cfg.Shards)}
		store := t.stores[listed.GetMailStore()]
		if shards[at] == nil || store == nil {
			t.cfg.Log.ErrorContext(t.ctx, "mailbox does not fit its listing", "shard", at.number, "mail_store", listed.GetMailStore())
			continue
		}
		if read[at] == nil {
			read[at] = make(map[listen.User]mailbox)
		}
		read[at][user] = mailbox{listed, store}
	}
	for at, s := range shards {
		t.replace(s, read[at])
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
func (t *tenure) replace(s *shard, boxes map[listen.User]mailbox) {
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
		t.delivery.Put(s.claim, user, box.GetSubscriptions())
		t.listeners.Put(listen.Mailbox{
			User: user, Store: box.store, Permanent: box.GetPermanent(), CredentialVersion: box.GetCredentialVersion(),
		})
	}
	s.boxes, s.phase = boxes, running
}
