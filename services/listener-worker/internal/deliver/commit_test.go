// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver_test

import (
	"fmt"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/deliver"
)

// A registry that is back after a while has more waiting for it than it stores in the
// time of one call.
func TestBacklogOfCursorsIsStoredInParts(t *testing.T) {
	t.Parallel()
	const users = 12_000
	inWorld(t, deliver.Config{Turns: users, TenantTurns: users, OriginTurns: users}, func(w *fakeWorld) {
		w.set(func(w *fakeWorld) { w.storeErr = errDown })
		for n := range users {
			w.put(user(n), subscribed(fmt.Sprint(n), "https://a.example/"))
			w.deliverMail(user(n), 1)
		}
		pass(10 * time.Second)
		w.set(func(w *fakeWorld) { w.storeErr, w.perRow = nil, time.Millisecond })
		pass(time.Minute)
		w.mu.Lock()
		stored := 0
		for _, commit := range w.commits {
			group := len(commit[claim()])
			if group > deliver.MaxCursors {
				t.Errorf("a group of %d", group)
			}
			stored += group
		}
		w.mu.Unlock()
		if stored != users {
			t.Errorf("%d of %d cursors were stored", stored, users)
		}
		w.deliverMail(user(0), 1)
		pass(2 * time.Second)
		if w.stored("0") != 12 {
			t.Errorf("the cursor stands at %d after all that, want 12", w.stored("0"))
		}
	})
}
