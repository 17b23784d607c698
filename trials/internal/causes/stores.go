// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"context"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/trials/internal/rig"
)

// mailStores breaks mail stores under listeners that they have served. What takes longest to
// be seen is broken first.
func (w *world) mailStores(ctx context.Context) error {
	for _, user := range []string{"wrong-password", "master-refused"} {
		for _, at := range []*imaptest.Server{w.password, w.master} {
			if err := at.AddUser(user, rig.Password); err != nil {
				return err
			}
		}
	}
	w.master.SetMaster(masterUser, rig.Password)
	users := []subscription{
		{user: "store-down", store: storeDown}, {user: "store-tls", store: storeTLS}, {user: "store-throttles", store: storeThrottles},
		{user: "wrong-password", store: storePassword}, {user: "master-refused", store: storeMaster, master: true},
	}
	for _, s := range users {
		s.url = w.receiver.URL()
		if _, err := w.subscribe(ctx, s); err != nil {
			return err
		}
		if err := w.well(ctx, s.user); err != nil {
			return err
		}
	}
	if err := w.breakStores(); err != nil {
		return err
	}
	for _, want := range []struct{ cause, user, code, words string }{
		{"store down", "store-down", "store-down", "cannot be reached: connection refused"},
		{"store refusing TLS", "store-tls", "store-refuses-tls", "TLS with the mail store failed"},
		{"store throttling", "store-throttles", "store-throttles", "[LIMIT] too many connections from your address"},
		{"wrong password", "wrong-password", "login-refused", "credential suspended: mail store refused the credential"},
		{"master user refused", "master-refused", "master-refused", "mail store refused the master user"},
	} {
		if err := w.expect(ctx, want.cause, want.user, want.code, want.words); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) breakStores() error {
	if err := w.down.Close(); err != nil {
		return err
	}
	address := w.tls.Addr()
	if err := w.tls.Close(); err != nil {
		return err
	}
	other, err := imaptest.NewMany(imaptest.ManyOptions{Address: address}) // with a certificate that nobody trusts
	if err != nil {
		return err
	}
	w.tls = other
	w.throttling.Store(true)
	w.throttles.Drop()
	for _, user := range []string{"wrong-password", "master-refused"} {
		if err := w.password.AddUser(user, "another"); err != nil {
			return err
		}
	}
	w.password.Drop()
	w.master.SetMaster(masterUser, "another")
	w.master.Drop()
	return nil
}
