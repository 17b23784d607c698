// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A right that was in doubt rests on a look at what hangs on the lease; one that never
// was costs none.
func TestRightThatWasInDoubtRestsOnALook(t *testing.T) {
	t.Parallel()
	l := &lease{changed: make(chan struct{}, 1), doubted: make(chan struct{}), lost: make(chan struct{})}
	looks, found := 0, ErrLost
	l.bear(func(context.Context) error {
		if looks++; looks == 1 && found == nil {
			l.fallen() // while somebody looks: what he found may be older
		}
		return found
	})
	renewed := func(want int) error {
		t.Helper()
		looks = 0
		err := l.renewed(t.Context(), bootTime(), time.Minute)
		if looks != want {
			t.Errorf("%d looks, want %d", looks, want)
		}
		return err
	}
	l.fallen()
	select {
	case <-l.lost:
		t.Fatal("a deletion in doubt was taken for the end")
	default:
	}
	if err := renewed(1); !errors.Is(err, ErrLost) || l.held() {
		t.Errorf("the right is current without what hangs on it: %v", err)
	}
	found = nil
	if err := renewed(2); err != nil || !l.held() {
		t.Errorf("the right is in doubt with all there: %v", err)
	}
	if err := renewed(0); err != nil || !l.held() {
		t.Errorf("the right is in doubt after a renewal: %v", err)
	}
	l.fallen()
	select {
	case <-l.lost:
	default:
		t.Error("a deletion while the right is current has no end")
	}
}
