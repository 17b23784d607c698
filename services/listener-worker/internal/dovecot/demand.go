// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// lendFor is how long a mailbox that was opened over IMAP is kept open: mail seldom comes
// alone, and a login is dear.
const lendFor = 30 * time.Second

// fresh is how a mailbox that is open already is looked at. Dovecot may answer NOOP and
// STATUS from what the session has seen up to half a second before, and a hint is newer.
const fresh = mailbox.Reopen

// lent is a mailbox that is open over IMAP. A listener has it, or it waits for one.
type lent struct {
	source  *Source
	user    mailbox.User
	store   *mailv1.MailStore
	version uint64 // of the credential
	reader  listen.Reader

	// Guarded by the source's lock.
	timer *time.Timer // while it waits
	busy  bool        // an operation is in flight
	bad   bool        // of no more use
}

func (l *lent) close() {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.reader.Close()
}

// openIMAP looks at a mailbox over IMAP.
func (s *Source) openIMAP(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) (listen.Reader, listen.Opening, error) {
	l, end, err := s.borrow(ctx, of, login)
	if err != nil {
		return nil, listen.Opening{Version: end.Version}, err
	}
	stop := context.AfterFunc(ctx, l.reader.Close)
	defer stop()
	if s.due(of.User, end.End.UIDValidity) {
		if end.End, err = l.register(of, end.End); err != nil {
			s.giveBack(l, true)
			return nil, listen.Opening{Version: l.version}, err
		}
	}
	opening := s.registration(of).opening(of.Store)
	opening.End, opening.Version = end.End, l.version
	return &borrowed{l}, opening, nil
}

// borrow takes the mailbox that is open, or opens it.
func (s *Source) borrow(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) (*lent, listen.Opening, error) {
	if l := s.take(of); l != nil {
		stop := context.AfterFunc(ctx, l.reader.Close)
		got, err := l.reader.Check(fresh)
		stop()
		if err == nil {
			return l, listen.Opening{End: got.End, Version: l.version}, nil
		}
		l.reader.Close()
	}
	reader, opening, err := s.cfg.IMAP.Open(ctx, of, login, listen.Nobody{})
	if err != nil {
		return nil, opening, err
	}
	return &lent{source: s, user: of.User, store: of.Store, version: opening.Version, reader: reader}, opening, nil
}

// take takes the mailbox that waits, if it is the one that would be opened.
func (s *Source) take(of mailbox.Listening) *lent {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lent[of.User]
	if l == nil {
		return nil
	}
	delete(s.lent, of.User)
	l.timer.Stop()
	if !proto.Equal(l.store, of.Store) || l.version < of.CredentialVersion {
		l.reader.Close()
		return nil
	}
	return l
}

// giveBack has a mailbox wait for the next one that wants it.
func (s *Source) giveBack(l *lent, bad bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad || l.bad || l.busy || s.closed || s.kept[l.user] == nil || s.lent[l.user] != nil {
		l.bad = true
		l.reader.Close()
		return
	}
	s.lent[l.user] = l
	l.timer = time.AfterFunc(lendFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lent[l.user] == l {
			delete(s.lent, l.user)
			l.reader.Close()
		}
	})
}

// register looks at the registration, and puts it there if none is.
func (l *lent) register(of mailbox.Listening, end mailbox.End) (mailbox.End, error) {
	s := l.source
	before := s.registration(of).state
	stands, set, err := l.standing(of)
	if err != nil {
		return end, err
	}
	if set { // mail that came before nobody has told of
		got, err := l.reader.Check(fresh)
		if err != nil {
			return end, err
		}
		end = got.End
	}
	s.count(stands, set, before)
	s.settle(of.User, end.UIDValidity, stands)
	return end, nil
}

// standing is how it is with the registration afterwards, and whether it was set.
func (l *lent) standing(of mailbox.Listening) (now standing, set bool, err error) {
	annotator, able := l.reader.(listen.Annotator)
	if !able {
		return unsupported("the connection knows no METADATA"), false, nil
	}
	found, err := annotator.Annotation(annotation)
	if err != nil {
		return refusedAnnotation(err)
	}
	stands, decided := judge(of.User, found)
	switch {
	case decided:
		return stands, false, nil
	case !l.source.cfg.Current():
		return inDoubt(), false, nil
	}
	if err := annotator.SetAnnotation(annotation, registrationOf(of.User)); err != nil {
		return refusedAnnotation(err)
	}
	return standing{state: mailv1.Registration_REGISTRATION_REGISTERED}, true, nil
}

// refusedAnnotation tells a mail store that keeps none from a connection that was lost.
func refusedAnnotation(err error) (standing, bool, error) {
	if errors.Is(err, listen.ErrNoAnnotations) {
		return unsupported(err.Error()), false, nil
	}
	return standing{}, false, err
}

// borrowed is a mailbox open over IMAP in the hands of a listener.
type borrowed struct{ lent *lent }

var _ listen.Reader = (*borrowed)(nil)

// Check implements [listen.Reader].
func (b *borrowed) Check(mailbox.Look) (got mailbox.Checkup, err error) {
	b.operate(func() error {
		got, err = b.lent.reader.Check(fresh)
		return err
	})
	return got, err
}

// Fetch implements [listen.Reader].
func (b *borrowed) Fetch(want mailbox.Range) (got mailbox.Reading, err error) {
	b.operate(func() error {
		got, err = b.lent.reader.Fetch(want)
		return err
	})
	return got, err
}

// operate notes that an operation is in flight, and that none is of use any more after one
// has failed.
func (b *borrowed) operate(operation func() error) {
	l := b.lent
	l.set(func() { l.busy = true })
	err := operation()
	l.set(func() { l.busy, l.bad = false, l.bad || err != nil })
}

func (l *lent) set(change func()) {
	l.source.mu.Lock()
	defer l.source.mu.Unlock()
	change()
}

// Close implements [listen.Reader].
func (b *borrowed) Close() { b.lent.source.giveBack(b.lent, false) }
