// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"log/slog"
	"testing"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
)

// All replicas are of one installation, also those that ask first at one moment, and it
// outlives them.
func TestInstallationIsNamedOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		open := func() *Store { return must(Open(t.Context(), dsn, slog.New(slog.DiscardHandler)))(t) }
		first, second := open(), open()
		var names [8]string
		var asking errgroup.Group
		for i := range names {
			asking.Go(func() (err error) {
				names[i], err = []*Store{first, second}[i%2].Installation(t.Context())
				return err
			})
		}
		if err := asking.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{first, second} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		later := open()
		for _, name := range names {
			same(t, "name", must(later.Installation(t.Context()))(t), name)
		}
		if err := later.Close(); err != nil || names[0] == "" {
			t.Errorf("%v, name %q", err, names[0])
		}
	})
}
