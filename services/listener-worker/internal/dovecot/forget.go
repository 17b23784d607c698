// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"context"
	"time"

	"mailpush.internal/services/listener-worker/internal/dovecot/internal/doveadm"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// takeBackWithin is how long taking a registration back may take.
const takeBackWithin = time.Minute

// Forget implements [listen.Keeper]. A registration that cannot be taken back stays: what
// Dovecot then tells is of nobody.
func (s *Source) Forget(of mailbox.Listening, login listen.LoginFunc, unwanted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.byIMAP.Forget(of.User)
	k := s.kept[of.User]
	delete(s.kept, of.User)
	if !unwanted || k == nil || s.leaving[of.User] != nil {
		return
	}
	left := make(chan struct{})
	s.leaving[of.User] = left
	s.tasks.Go(func() {
		s.takeBack(of, k, login)
		s.mu.Lock()
		delete(s.leaving, of.User)
		s.mu.Unlock()
		close(left)
	})
}

// takeBack takes a registration away, if it is ours.
func (s *Source) takeBack(of mailbox.Listening, k *kept, login listen.LoginFunc) {
	ctx, cancel := context.WithTimeout(s.life, takeBackWithin)
	defer cancel()
	err := s.unset(ctx, of, k.name, login)
	if err != nil && s.life.Err() == nil {
		s.metrics.registrations.WithLabelValues(didFail).Inc()
		s.cfg.Log.WarnContext(ctx, "a registration at Dovecot could not be taken back", "context_id", of.User.Context,
			"user_id", of.User.ID, "mail_store", of.Store.GetName(), "reason", mailbox.AsFailure(err).Reason)
	}
}

func (s *Source) unset(ctx context.Context, of mailbox.Listening, name string, login listen.LoginFunc) error {
	client, failure := s.client(of.Store)
	if failure != nil {
		return failure
	}
	if of.Login != "" {
		name = of.Login
	}
	if client == nil || name == "" {
		return s.unsetIMAP(ctx, of, login)
	}
	answers, err := client.Ask(ctx, name, doveadm.Metadata(annotation))
	if err != nil {
		return classify(err)
	}
	if stands, decided := standingOf(of.User, answers[0]); !decided || stands.note != "" || !s.cfg.Current() {
		return nil // not ours, or not ours to take
	}
	answers, err = client.Ask(ctx, name, doveadm.UnsetMetadata(annotation))
	if err == nil && answers[0].Err != nil {
		err = answers[0].Err
	}
	if err != nil {
		return classify(err)
	}
	s.metrics.registrations.WithLabelValues(didUnset).Inc()
	return nil
}

// unsetIMAP does it over IMAP, as long as there is a login.
func (s *Source) unsetIMAP(ctx context.Context, of mailbox.Listening, login listen.LoginFunc) error {
	reader, _, err := s.cfg.IMAP.Open(ctx, of, login, listen.Nobody{})
	if err != nil {
		return err
	}
	defer reader.Close()
	annotator, able := reader.(listen.Annotator)
	if !able {
		return nil
	}
	found, err := annotator.Annotation(annotation)
	if err != nil {
		return err
	}
	if stands, decided := judge(of.User, found); !decided || stands.note != "" || !s.cfg.Current() {
		return nil
	}
	if err := annotator.SetAnnotation(annotation, ""); err != nil {
		return err
	}
	s.metrics.registrations.WithLabelValues(didUnset).Inc()
	return nil
}
