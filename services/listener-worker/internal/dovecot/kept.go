// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// kept is what is known of a mailbox while nothing is open.
type kept struct {
	// name is what Dovecot calls the user, by the login of a version in a slot.
	name    string
	version uint64
	slot    uint32

	folder   seen      // as it was last seen; none before
	validity uint32    // UIDVALIDITY that the registration was last seen under
	verifyAt time.Time // when to look at it again
	standing
}

// standing is how it is with a registration.
type standing struct {
	state mailv1.Registration
	note  string // why changes may be noticed late; empty when they are not
}

// opening is what a listener is to know of it.
func (r standing) opening(store *mailv1.MailStore) listen.Opening {
	opening := listen.Opening{Waits: machine.ByHints, Registration: r.state, Note: r.note}
	if r.note != "" {
		opening.Again = pollInterval(store)
	}
	return opening
}

// begin keeps something of a mailbox from now on, once what was kept before is given up.
func (s *Source) begin(ctx context.Context, user mailbox.User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.leaving[user] != nil {
		left := s.leaving[user]
		s.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return unavailable("it was given up")
		}
	}
	if s.kept[user] == nil {
		s.kept[user] = &kept{}
	}
	return nil
}

// of is what is kept of a mailbox; of one that was given up meanwhile, nothing that lasts.
// s.mu is held.
func (s *Source) of(user mailbox.User) *kept {
	if k := s.kept[user]; k != nil {
		return k
	}
	return &kept{}
}

// nameOf is what Dovecot calls the user. The vault is asked once for each credential.
func (s *Source) nameOf(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) (string, uint64, *mailbox.Failure) {
	if of.Login != "" {
		return of.Login, of.CredentialVersion, nil
	}
	s.mu.Lock()
	k := *s.of(of.User)
	s.mu.Unlock()
	if k.name != "" && k.version >= of.CredentialVersion && k.slot == of.CredentialSlot {
		return k.name, k.version, nil
	}
	credential, err := login(ctx)
	if err != nil {
		return "", 0, classifyCredential(err)
	}
	name := cmp.Or(credential.AuthorizationID, credential.Username)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.of(of.User)
	if now.name != name {
		now.verifyAt = time.Time{} // another mailbox
	}
	now.name, now.version, now.slot = name, credential.Version, of.CredentialSlot
	return name, credential.Version, nil
}

// saw keeps how a folder was seen.
func (s *Source) saw(user mailbox.User, folder seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(user).folder = folder
}

// Resume implements [listen.Resumer]. The folder is known by its GUID: mails of another in
// its place are refused.
func (s *Source) Resume(of mailbox.Listening, end mailbox.End) (listen.Reader, listen.Opening) {
	s.mu.Lock()
	k := *s.of(of.User)
	s.mu.Unlock()
	name := k.name
	if of.Login != "" {
		name = of.Login
	} else if k.version < of.CredentialVersion || k.slot != of.CredentialSlot {
		return nil, listen.Opening{}
	}
	if name == "" || k.folder.guid == "" || k.folder.end.UIDValidity != end.UIDValidity || !time.Now().Before(k.verifyAt) {
		return nil, listen.Opening{}
	}
	client, failure := s.client(of.Store)
	if failure != nil || client == nil {
		return nil, listen.Opening{}
	}
	r := newReader(s, client, of, name)
	r.folder = seen{end, k.folder.guid}
	opening := k.standing.opening(of.Store)
	opening.End, opening.Version, opening.Unproven = end, max(k.version, of.CredentialVersion), true
	return r, opening
}

// registration is how it is with a mailbox's registration.
func (s *Source) registration(of mailbox.Listening) standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(of.User).standing
}

// due tells whether to look at a registration: when its time has come, and when the folder
// is another, for Dovecot keeps it with the folder.
func (s *Source) due(user mailbox.User, validity uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(user)
	return !time.Now().Before(k.verifyAt) || validity != 0 && validity != k.validity
}

// Pauses before a registration is looked at again. They are drawn, so that those which
// were looked at together are not again.
const (
	verifyAfter  = time.Hour        // when it stands
	foreignAfter = 10 * time.Minute // when another's is there, or none is kept
	failedAfter  = time.Minute      // when it could not be looked at
)

// settle keeps what became of a registration.
func (s *Source) settle(user mailbox.User, validity uint32, now standing) {
	after := verifyAfter
	switch now.state {
	case mailv1.Registration_REGISTRATION_FOREIGN, mailv1.Registration_REGISTRATION_UNSUPPORTED:
		after = foreignAfter
	case mailv1.Registration_REGISTRATION_FAILED:
		after = failedAfter
	case mailv1.Registration_REGISTRATION_UNSPECIFIED, mailv1.Registration_REGISTRATION_REGISTERED:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.of(user)
	k.standing, k.validity = now, validity
	k.verifyAt = time.Now().Add(after/2 + rand.N(after))
}
