// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"mailpush.internal/trials/internal/field"
	"mailpush.internal/trials/internal/rig"
)

// patience is how long a test waits for what must come: much longer than it takes.
const patience = 2 * time.Minute

// What endpoints and applications do to us costs nobody a subscription, a login or a mail,
// and a neighbour no long wait: two tenants at each origin, four faults side by side.
func TestFaultsOfOthersCostNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Dovecot and a minute: left out with -short") //nolint:forbidigo // only with -short
	}
	dir := t.TempDir()
	programs, err := rig.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := field.New(t.Context(), field.Options{Dir: dir, Programs: programs, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	testFaults(t, w)
	lost, err := w.LoginsLost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lost > 0 {
		t.Errorf("%d logins are lost", lost)
	}
	took, err := w.StoreReturn(t.Context(), 20, 5*time.Second, patience)
	if err != nil {
		t.Fatal(err)
	}
	if took >= patience {
		t.Errorf("listeners are not back %v after their mail store", took)
	}
}

// testFaults runs the four side by side: most of their time they wait.
func testFaults(t *testing.T, w *field.World) {
	t.Helper()
	// What is pending is hurried on: how soon it comes by itself is measured by make bench-field.
	hurried := field.Patience{Within: patience, Hurry: true}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		served, err := w.Neighbour(t.Context(), field.NeighbourOptions{Failing: 20, Away: 20 * time.Second, Within: patience})
		if err := errors.Join(err, served.Err(patience)); err != nil {
			t.Errorf("an origin that comes back: %v", err)
		}
	})
	all.Go(func() {
		lost, err := w.Gone(t.Context(), "gone", field.GoneOptions{Endpoints: 30, For: 3 * time.Second, Patience: hurried})
		if err != nil || lost.Sum() > 0 {
			t.Errorf("404 of a proxy that deploys has cost %v: %v", lost, err)
		}
	})
	all.Go(func() {
		lost, err := w.Refused(t.Context(), field.RefusedOptions{Endpoints: 10, For: 15 * time.Second, Patience: hurried})
		if err != nil || lost.Sum() > 0 {
			t.Errorf("400 of receivers with a wrong secret has cost %v: %v", lost, err)
		}
	})
	all.Go(func() {
		wrong, err := w.RefusedLogin(t.Context())
		if err := errors.Join(append(wrong, err)...); err != nil {
			t.Errorf("an old password: %v", err)
		}
	})
}
