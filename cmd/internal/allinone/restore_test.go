// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/pushtest"
)

// What of two days meets is safe: whichever of SQL and etcd is the older one, users are
// listened to again, and no mail is lost. Only an older registry repeats, under the same ids.
func TestRestoresOfDifferentDays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct { // short names: etcd's socket is below them
		restored []string // of yesterday
		repeats  bool
	}{
		"older SQL":  {[]string{"registry.db", "vault.db"}, true},
		"older etcd": {[]string{"etcd"}, false},
		"no etcd":    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir, yesterday := newWorld(t), filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "yesterday")
			live := func(subject string) string {
				t.Helper()
				r := start(t, dir, w, func(*settings.Settings) {})
				if subject == "first" {
					r.subscribe(t, w, "pw")
				}
				w.deliver(t, subject)
				ids := w.upTo(t, subject)
				r.end(t)
				return ids[subject]
			}
			live("first")
			if err := os.CopyFS(yesterday, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			live("second") // each life has epochs above those of the one before
			third := live("third")
			for _, lost := range append([]string{"registry.db-wal", "registry.db-shm", "vault.db-wal", "vault.db-shm"}, c.restored...) {
				if err := os.RemoveAll(filepath.Join(dir, lost)); err != nil {
					t.Fatal(err)
				}
			}
			if c.restored == nil {
				if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
					t.Fatal(err)
				}
			}
			for _, back := range c.restored {
				restore(t, filepath.Join(yesterday, back), filepath.Join(dir, back))
			}

			r := start(t, dir, w, func(*settings.Settings) {})
			w.deliver(t, "fourth")
			ids := w.upTo(t, "fourth")
			if c.repeats && ids["third"] != third {
				t.Errorf("the third mail came again as %q, it was %q", ids["third"], third)
			}
			if ids["first"] != "" || !c.repeats && len(ids) != 1 {
				t.Errorf("repeated is %v", ids)
			}
			r.end(t)
		})
	}
}

// upTo waits for the push about a mail and returns what came until then: the ids of the
// events by their subjects. It is patient: what is granted under an epoch that is too low
// is granted again only after a while.
func (w *world) upTo(t *testing.T, subject string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ids := make(map[string]string)
	for ids[subject] == "" {
		got, err := w.webhook.Next(ctx, pushtest.Not(pushtest.OfType(pushtest.TypePing)))
		if err != nil {
			t.Fatalf("up to %q: %v", subject, err)
		}
		for _, event := range got.Data.Events {
			ids[event.Subject] = event.ID
		}
	}
	return ids
}

// restore copies a file, or a directory.
func restore(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
