// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"context"
	"errors"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/ondemand"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// openIMAP looks at a mailbox over IMAP.
func (s *Source) openIMAP(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) (listen.Reader, listen.Opening, error) {
	reader, lent, err := s.byIMAP.Open(ctx, of, login)
	if err != nil {
		return nil, listen.Opening{Version: lent.Version}, err
	}
	stop := context.AfterFunc(ctx, reader.Abort)
	defer stop()
	if s.due(of.User, lent.End.UIDValidity) {
		if lent.End, err = s.registerByIMAP(reader, of, lent.End); err != nil {
			reader.Discard()
			return nil, listen.Opening{Version: lent.Version}, err
		}
	}
	opening := s.registration(of).opening(of.Store)
	opening.End, opening.Version = lent.End, lent.Version
	return reader, opening, nil
}

// registerByIMAP looks at the registration, and puts it there if none is.
func (s *Source) registerByIMAP(reader *ondemand.Reader, of mailbox.Listening, end mailbox.End) (mailbox.End, error) {
	before := s.registration(of).state
	stands, set, err := s.standingByIMAP(reader.Unwrap(), of)
	if err != nil {
		return end, err
	}
	if set { // mail that came before nobody has told of
		got, err := reader.Check(mailbox.Reopen)
		if err != nil {
			return end, err
		}
		end = got.End
	}
	s.count(stands, set, before)
	s.settle(of.User, end.UIDValidity, stands)
	return end, nil
}

// standingByIMAP is how it is with the registration afterwards, and whether it was set.
func (s *Source) standingByIMAP(reader listen.Reader, of mailbox.Listening) (now standing, set bool, err error) {
	annotator, able := reader.(listen.Annotator)
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
	case !s.cfg.Current():
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
