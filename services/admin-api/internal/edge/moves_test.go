// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// told are the owners that were told, of what backends and shards.
func told(w *world) []string {
	w.cluster.mu.Lock()
	defer w.cluster.mu.Unlock()
	var out []string
	for _, at := range w.cluster.touched {
		out = append(out, fmt.Sprintf("%s/%d", at.Backend, at.Number))
	}
	return out
}

// Those who had the mailboxes are told at once, those who are to have them when the first
// must have given them up.
func TestMoveTellsTheFormerOwnersFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		go func() {
			w.Move(t.Context(), map[string]string{"sleepy": "imapidle"})
			if took := time.Since(began); took != moveTime {
				t.Errorf("took %s", took)
			}
		}()
		synctest.Wait()
		if got := told(w); !slices.Equal(got, []string{"imapidle/0", "imapidle/2"}) {
			t.Errorf("at once %v were told", got)
		}
		<-time.After(moveTime)
		synctest.Wait()
		if got := told(w); !slices.Equal(got, []string{"imapidle/0", "imapidle/2", "mailnotify/1"}) {
			t.Errorf("in the end %v were told", got)
		}
	})
	w := newWorld(t)
	w.Move(t.Context(), nil)
	if got := told(w); len(got) > 0 {
		t.Errorf("without a move %v were told", got)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	w.Move(ended, map[string]string{"demo": "mailnotify"})
}

// A mail store that has moved is listed to nobody for a moment; one whose backend another
// replica knows better is not listed here.
func TestListingOfAStoreThatHasMoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		placed registry.Placement
		listed bool
	}{
		"has always been there":      {registry.Placement{Backend: "imapidle", Since: time.UnixMicro(0)}, true},
		"has come just now":          {registry.Placement{Backend: "imapidle", Since: time.Now()}, false},
		"came a while ago":           {registry.Placement{Backend: "imapidle", Since: time.Now().Add(-moveTime)}, true},
		"is elsewhere, says another": {registry.Placement{Backend: "other", Since: time.Now().Add(-time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeShards{epoch: 5, placements: map[string]registry.Placement{"demo": c.placed}}
			claim := registry.Claim{Shard: registry.Shard{Backend: "imapidle", Number: 0}, Epoch: 5}
			if _, err := newShards(f).List(t.Context(), Listing{Claims: []registry.Claim{claim}}); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(f.stores, "demo"); got != c.listed {
				t.Errorf("listed: %v", got)
			}
		})
	}
}
