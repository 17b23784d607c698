// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func (w *fakeWorld) expect(what string, listeners int) {
	w.t.Helper()
	if listening, delivering := w.runs(); listening != listeners || delivering != listeners {
		w.t.Errorf("%s: %d listeners and %d in delivery, want %d", what, listening, delivering, listeners)
	}
}

func (w *fakeWorld) expectReport(what string, generation uint64, held int) {
	w.t.Helper()
	if g, h := w.report(); g != generation || h != held {
		w.t.Errorf("%s: reported %d shards at generation %d, want %d at %d", what, h, g, held, generation)
	}
}

func TestAllShardsAreLoadedByAHandfulOfCalls(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		for n := range 300 {
			w.add(fmt.Sprint(n))
		}
		w.want(1, 10, every()...)
		pass(100 * time.Millisecond)
		w.expect("after the grant", 300)
		w.expectReport("after the grant", 1, shards)
		if w.lists > 8 {
			w.t.Errorf("%d calls", w.lists)
		}
	})
}

func TestShardThatCannotBeReadHoldsUpItselfOnly(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		for n := range 300 {
			w.add(fmt.Sprint(n))
		}
		bad := w.add("bad")
		alone := len(w.users[bad])
		w.broken[bad] = true
		w.want(1, 10, every()...)
		pass(10 * time.Second)
		w.expect("with a bad shard", 301-alone)
		w.expectReport("with a bad shard", 1, shards-1)
		w.set(func(w *fakeWorld) { w.broken[bad] = false })
		pass(20 * time.Second)
		w.expect("with the shard mended", 301)
		w.expectReport("with the shard mended", 1, shards)
	})
}

func TestRevocationIsReportedWhenNothingRunsAnyMore(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(1, 10, number)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.drainTakes = 3 * time.Second })
		w.want(2, 10)
		pass(time.Second)
		if listening, delivering := w.runs(); listening != 0 || delivering != 1 {
			w.t.Errorf("%d listeners, %d in delivery; want the listener gone, the push in flight", listening, delivering)
		}
		w.expectReport("while draining", 1, 1)
		pass(3 * time.Second)
		w.expect("after the drain", 0)
		w.expectReport("after the drain", 2, 0)
	})
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(1, 10, number)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.drainTakes = time.Hour })
		w.want(2, 10)
		pass(11 * time.Second)
		w.expectReport("after the bound", 2, 0)
		w.set(func(w *fakeWorld) { w.drainTakes = 0 })
	})
}

func TestNewGrantOfAShardThatIsHeldBeginsAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(1, 10, number)
		pass(time.Second)
		w.want(2, 20, number)
		pass(time.Second)
		w.expect("under the new epoch", 1)
		if got := w.delivering[mailbox.User{Context: "1", ID: "249"}]; got.Epoch != 20 || w.drained != 1 {
			w.t.Errorf("held by %+v after %d drains", got, w.drained)
		}
		w.expectReport("under the new epoch", 2, 1)
	})
}

func TestOlderWantSaysNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(5, 10, number)
		pass(time.Second)
		w.want(4, 9)
		pass(time.Second)
		w.expect("after an older want", 1)
		w.expectReport("after an older want", 5, 1)
	})
}

func TestGrantTakenBackWhileItsRegistryIsDown(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.set(func(w *fakeWorld) { w.broken[number] = true })
		w.want(1, 10, number)
		pass(time.Second)
		w.expectReport("while it cannot be read", 1, 0)
		w.want(2, 10)
		pass(30 * time.Second)
		w.expectReport("taken back", 2, 0)
		w.set(func(w *fakeWorld) { w.broken[number] = false })
		pass(10 * time.Minute)
		w.expect("taken back", 0)
	})
}

func TestRefusedClaimComesBackOnlyWithAHigherEpoch(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number, other := w.add("249"), w.add("402")
		w.set(func(w *fakeWorld) { w.refuse[hold.Claim{Backend: backend, Shard: number, Epoch: 10}] = true })
		w.want(1, 10, number, other)
		pass(10 * time.Second)
		w.expect("one of two refused", 1)
		w.want(2, 20, number, other)
		pass(time.Second)
		w.expect("granted anew", 2)
		w.owner.Refused([]hold.Claim{{Backend: backend, Shard: number, Epoch: 20}, {Backend: backend, Shard: 77, Epoch: 3}})
		pass(10 * time.Minute)
		w.expect("fenced while running", 1)
		w.expectReport("fenced while running", 2, 1)
	})
}

func TestChangesAreFollowedAndTheTruthIsReadAnyway(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(1, 10, every()...)
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.users[number][0].CredentialVersion = 2 })
		w.touch(number)
		pass(time.Second)
		if got := w.listening[mailbox.User{Context: "1", ID: "249"}].CredentialVersion; got != 2 {
			w.t.Errorf("credential version %d, want 2", got)
		}
		w.set(func(w *fakeWorld) { w.users[number] = nil })
		w.touch(number)
		pass(time.Second)
		w.expect("after the removal", 0)

		w.add("402") // and nobody says so
		pass(6 * time.Minute)
		w.expect("without a word", 1)
		w.set(func(w *fakeWorld) { w.store = &mailv1.MailStore{Name: "main", Address: "elsewhere:993"} })
		pass(6 * time.Minute)
		if got := w.listening[mailbox.User{Context: "1", ID: "402"}].Store.GetAddress(); got != "elsewhere:993" {
			w.t.Errorf("the listener is at %q", got)
		}
	})
}

// neighbours registers two users of one shard.
func (w *fakeWorld) neighbours() (number uint32, one, other mailbox.User) {
	w.t.Helper()
	first := make(map[uint32]string)
	for n := range 1 << 16 {
		id := fmt.Sprint(n)
		number := shard.Of("1", id, shards)
		if one, taken := first[number]; taken {
			w.add(one)
			w.add(id)
			return number, mailbox.User{Context: "1", ID: one}, mailbox.User{Context: "1", ID: id}
		}
		first[number] = id
	}
	w.t.Fatal("no two users are of one shard")
	return 0, mailbox.User{}, mailbox.User{}
}

// A change that names users touches nobody else, whether the registry lists them alone or,
// of an earlier release, the shard.
func TestChangeOfAUserIsReadAlone(t *testing.T) {
	t.Parallel()
	for _, listsAll := range []bool{false, true} {
		t.Run(fmt.Sprintf("the registry lists all: %v", listsAll), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *fakeWorld, _ func()) {
				w.listsAll = listsAll
				number, one, other := w.neighbours()
				w.want(1, 10, every()...)
				pass(time.Second)
				version := func(user mailbox.User) uint64 { return w.listening[user].CredentialVersion }
				w.set(func(w *fakeWorld) {
					w.users[number][0].CredentialVersion, w.users[number][1].CredentialVersion = 2, 2
				})
				w.touch(number, one.ID)
				pass(time.Second)
				if version(one) != 2 || version(other) != 1 {
					w.t.Errorf("versions %d and %d, want the one that was named to be 2", version(one), version(other))
				}
				w.set(func(w *fakeWorld) { w.users[number] = w.users[number][1:] })
				w.touch(number, one.ID)
				pass(time.Second)
				w.expect("after the removal of one", 1)
				if version(other) != 1 {
					w.t.Error("the other one was touched")
				}
				w.add(one.ID)
				w.touch(number, one.ID, "nobody")
				pass(time.Second)
				w.expect("after its return", 2)
				w.touch(number)
				pass(time.Second)
				if version(other) != 2 {
					w.t.Error("a change of anybody was not read whole")
				}
				if len(w.asked) != 4 {
					w.t.Errorf("asked for %v", w.asked)
				}
			})
		})
	}
}

func TestLostMembershipStopsAllAndBeginsAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number := w.add("249")
		w.want(1, 10, number)
		pass(time.Second)
		first := w.member()
		w.set(func(w *fakeWorld) { w.joinErr = errDown })
		close(first.lost)
		pass(time.Second)
		w.expect("after the loss", 0)
		if w.owner.ID() != "" || w.owner.Ready(w.t.Context()) == nil || w.dropped != 1 || !first.left {
			w.t.Errorf("id %q, %d claims dropped, left %v", w.owner.ID(), w.dropped, first.left)
		}
		w.set(func(w *fakeWorld) { w.joinErr = nil })
		pass(10 * time.Second)
		if w.owner.ID() != "worker-2" || w.owner.Ready(w.t.Context()) != nil {
			w.t.Errorf("id %q, want worker-2", w.owner.ID())
		}
		w.want(1, 20, number)
		pass(time.Second)
		w.expect("anew", 1)
	})
}

func TestDoubtKeepsWhatRunsAndIsOnRecord(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		number, late := w.add("249"), w.add("402")
		w.want(1, 10, number)
		pass(time.Second)
		fence := time.Now().Add(time.Second)
		w.set(func(w *fakeWorld) { w.until = fence })
		pass(3 * time.Second)
		w.member().setRight(hold.InDoubt)
		pass(time.Second)
		w.expect("in doubt", 1)
		if w.owner.Current() || !w.owner.InDoubt() || w.owner.ID() != "worker-1" {
			w.t.Errorf("current %v, in doubt %v, id %q", w.owner.Current(), w.owner.InDoubt(), w.owner.ID())
		}
		w.want(2, 10, number, late)
		pass(time.Minute)
		w.expect("granted in doubt", 1)
		w.set(func(w *fakeWorld) { w.until = time.Now().Add(time.Hour) })
		w.member().setRight(hold.Current)
		pass(time.Second)
		w.expect("current again", 2)
		if w.dropped != 0 || w.drained != 0 || !w.owner.Current() || w.owner.InDoubt() {
			w.t.Errorf("%d claims dropped, %d drained, current %v", w.dropped, w.drained, w.owner.Current())
		}
		record := w.log.String()
		if want := `"hold ended","worker":"worker-1","backend":"imapidle","shards":[` + fmt.Sprint(number) +
			`],"epochs":[10],"at":"` + fence.Format(time.RFC3339Nano) + `"`; !strings.Contains(record, want) {
			w.t.Errorf("no %s in:\n%s", want, record)
		}
		if began := strings.Count(record, "hold began"); began != 3 {
			w.t.Errorf("%d holds began, want 3:\n%s", began, record)
		}
	})
}

func TestStopIsOrderly(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, stop func()) {
		number := w.add("249")
		w.want(3, 10, number)
		pass(time.Second)
		stop()
		w.expect("stopped", 0)
		w.expectReport("stopped", 3, 0)
		if !w.member().left || w.drained != 1 {
			w.t.Errorf("left %v after %d drains", w.member().left, w.drained)
		}
	})
}

func TestSuspensionsAreToldUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *fakeWorld, _ func()) {
		w.want(1, 10, w.add("249"), w.add("402"))
		pass(time.Second)
		w.set(func(w *fakeWorld) { w.suspendUp = false })
		w.owner.Suspended(mailbox.User{Context: "1", ID: "249"}, 1, "no")
		w.owner.Suspended(mailbox.User{Context: "1", ID: "nobody"}, 1, "no")
		w.owner.Suspended(mailbox.User{Context: "1", ID: "402"}, 7, "")
		pass(time.Minute)
		w.set(func(w *fakeWorld) { w.suspendUp = true })
		pass(time.Minute)
		want := "[10 249 1 no 10 402 7 the mail store refused the credential]"
		if got := fmt.Sprint(w.suspended); got != want {
			w.t.Errorf("told %s, want %s", got, want)
		}
	})
}
