// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"context"
	"time"

	"mailpush.internal/pkg/userid"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// strayAfter leaves time to a user who is being subscribed, or is about to come back.
	strayAfter = 30 * time.Second
	// maxStrays bounds how many are looked after at once; Dovecot tells of the others again.
	maxStrays = 100
)

// Unknown takes in that Dovecot tells of a user of ours who has no listener here, although
// this worker runs the user's shard: a registration was left behind. It is taken back where
// the operator's rule says what doveadm is to be asked for. It does not block.
func (s *Source) Unknown(user mailbox.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.kept[user] != nil || s.strays[user] || len(s.strays) >= maxStrays {
		return
	}
	s.strays[user] = true
	s.tasks.Go(func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.strays, user)
		}()
		select {
		case <-time.After(s.cfg.StrayAfter):
			s.takeStray(user)
		case <-s.life.Done():
		}
	})
}

// takeStray takes the registration of a user back at all mail stores that may have it.
func (s *Source) takeStray(user mailbox.User) {
	ctx, cancel := context.WithTimeout(s.life, takeBackWithin)
	defer cancel()
	for _, store := range s.strayStores(user) {
		login, ok := userid.Login(store.GetDoveadm().GetLoginRule(), user.ID, user.Context)
		if !ok {
			continue // it could be another user's, whose registration is not to be looked at
		}
		of := mailbox.Listening{User: user, Store: store, Login: login}
		if err := s.unset(ctx, of, login, nil); err != nil && s.life.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "a registration of nobody could not be taken back", "context_id", user.Context,
				"user_id", user.ID, "mail_store", store.GetName(), "reason", mailbox.AsFailure(err).Reason)
		}
	}
}

// strayStores are the mail stores that can be asked, none when the user has a listener now.
func (s *Source) strayStores(user mailbox.User) []*mailv1.MailStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[user] != nil {
		return nil
	}
	var out []*mailv1.MailStore
	for _, store := range s.stores {
		if store.GetDoveadm().GetLoginRule() != "" {
			out = append(out, store)
		}
	}
	return out
}
