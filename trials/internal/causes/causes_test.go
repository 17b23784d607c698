// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes_test

import (
	"testing"

	"mailpush.internal/trials/internal/causes"
	"mailpush.internal/trials/internal/rig"
)

// Whatever keeps a push from a user, explain alone names it: with its code, in words, and
// with what to do.
func TestExplainNamesEveryCause(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs PostgreSQL and a minute: left out with -short") //nolint:forbidigo // only with -short
	}
	dir := t.TempDir()
	programs, err := rig.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := causes.Run(t.Context(), causes.Options{Dir: dir, Programs: programs, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if !f.Named {
			t.Errorf("%s: explain says %s: %s", f.Cause, f.Code, f.Verdict)
		}
	}
	if len(found) < 27 {
		t.Errorf("only %d causes were made", len(found))
	}
}
