// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner_test

import (
	"fmt"
	"testing"
	"time"
)

// A policy that changes reaches all listeners well within 30 s, and the registry is not
// asked for everything at once.
func TestAnotherPolicyIsFollowedWithin20Seconds(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		for n := range 300 {
			w.add(fmt.Sprint(n))
		}
		w.set(func(w *fakeWorld) { w.policy = "first" })
		w.want(1, 10, every()...)
		pass(10 * time.Second)
		w.expect("under the first policy", 300)
		users, lists := w.users, 0
		w.set(func(w *fakeWorld) { w.policy, w.users, lists = "second", nil, w.lists })
		pass(6 * time.Second)
		if left, _ := w.runs(); left == 0 || left == 300 {
			w.t.Errorf("after 6 seconds there are %d listeners, want some", left)
		}
		pass(12 * time.Second)
		w.expect("under the second policy", 0)
		if w.lists-lists < policySlices {
			w.t.Errorf("%d calls, want them spread", w.lists-lists)
		}
		w.set(func(w *fakeWorld) { w.policy, w.users = "first", users })
		pass(18 * time.Second)
		w.expect("under the first policy again", 300)
	})
}

const (
	policySlices  = 24
	policyChanges = 10
)

// Two replicas of the registry that disagree, and answer by turns, do not have everything
// read again each time; once they agree, what they agree on is followed.
func TestReplicasThatDisagreeAreNotFollowedForEver(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.set(func(w *fakeWorld) { w.policy = "first" })
		w.want(1, 10, number)
		pass(5 * time.Second)
		const minutes = 20
		before := w.lists
		for n := range minutes * 15 {
			w.set(func(w *fakeWorld) { w.policy = []string{"second", "first"}[n%2] })
			pass(4 * time.Second)
		}
		// One a minute and the first few, beside what is read anyway every one to five minutes.
		if got := w.lists - before; got > minutes+policyChanges+minutes+1 {
			w.t.Errorf("read %d times in %d minutes", got, minutes)
		}
		w.set(func(w *fakeWorld) { w.policy, w.users[number] = "third", nil })
		pass(5*time.Minute + time.Second)
		w.expect("when they agree", 0)
	})
}
