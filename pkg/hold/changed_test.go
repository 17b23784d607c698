// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
)

func user(n int) userid.User { return userid.User{Context: "1", ID: fmt.Sprint(n)} }

func changed(number uint32, users ...userid.User) hold.Changed {
	return hold.Changed{Shard: shard.ID{Backend: backend, Number: number}, Change: shard.Change{Users: users}}
}

func named(claims []hold.Claim, users ...userid.User) hold.Read {
	return hold.Read{Backend: backend, Claims: claims, Users: users}
}

func TestChangesOfAShardBecomeOneReadOfItsUsers(t *testing.T) {
	w := newWorker(t)
	claims := []hold.Claim{claim(7, 10)}
	w.holds(1, claims...)
	first := named(claims, user(1))
	w.step(changed(7, user(1)), first)
	w.step(changed(7, user(2))) // it may have been read before the change
	w.step(changed(7, user(3), user(2)))
	w.step(changed(8, user(4))) // not ours
	w.step(hold.Loaded{Read: first}, hold.Run{Claims: claims}, named(claims, user(2), user(3)))
}

func TestChangeOfAnybodyIsReadWhole(t *testing.T) {
	w := newWorker(t)
	claims := []hold.Claim{claim(7, 10)}
	w.holds(1, claims...)
	first := named(claims, user(1))
	w.step(changed(7, user(1)), first)
	w.step(changed(7, user(2)))
	w.step(changed(7))
	w.step(changed(7, user(3)))
	w.step(hold.Loaded{Read: first}, hold.Run{Claims: claims}, read(false, claims...))
	w.step(changed(7, user(4)))
	w.step(hold.Stale{})
	w.step(hold.Loaded{Read: read(false, claims...)}, hold.Run{Claims: claims}, read(false, claims...))
}

// What a read has brought before it failed is not known.
func TestReadOfUsersThatFailedIsMadeWhole(t *testing.T) {
	w := newWorker(t)
	claims := []hold.Claim{claim(7, 10)}
	w.holds(1, claims...)
	w.step(changed(7, user(1)), named(claims, user(1)))
	w.step(hold.Loaded{Read: named(claims, user(1)), Failed: true})
	w.step(changed(7, user(2)))
	w.now = w.machine.Next()
	again := read(false, claims...)
	again.Failures = 1
	w.step(hold.Tick{}, again)
	w.step(hold.Loaded{Read: again}, hold.Run{Claims: claims})
	w.step(changed(7, user(3)), named(claims, user(3)))
}

func TestUsersOfOneReadAreBounded(t *testing.T) {
	w := newWorker(t)
	var claims []hold.Claim
	for n := range uint32(40) {
		claims = append(claims, claim(n, 10))
	}
	w.holds(1, claims...)
	var many []userid.User
	for n := range shard.MaxNamed {
		many = append(many, user(n))
	}
	for n := range uint32(4) { // until no more may be in flight
		w.step(changed(n, many...), named(claims[n:n+1], many...))
	}
	for n := range uint32(36) {
		w.step(changed(4+n, many...))
	}
	effects := w.machine.Step(hold.Loaded{Read: named(claims[:1], many...)}, w.now)
	next, ok := effects[len(effects)-1].(hold.Read)
	if !ok || len(next.Users) != 512 || !slices.Equal(next.Claims, claims[4:12]) {
		t.Errorf("read %d users of %v", len(next.Users), next.Claims)
	}
}

// A line that is always refilled must not hold up another.
func TestNoShardWaitsForever(t *testing.T) {
	w := newWorker(t)
	claims := []hold.Claim{claim(0, 10), claim(1, 10), claim(2, 10), claim(3, 10), claim(4, 10), claim(5, 10)}
	w.holds(1, claims...)
	for n := range uint32(4) {
		w.step(changed(n), read(false, claims[n]))
	}
	w.step(changed(5, user(1)))
	for range 3 {
		w.step(changed(4))
	}
	w.step(changed(5, user(1)))
	w.step(hold.Loaded{Read: read(false, claims[0])}, hold.Run{Claims: claims[:1]}, named(claims[5:], user(1)))
}

// world is a registry whose users change while a worker reads them: each user has a version,
// and what the worker runs is what its reads have brought.
type world struct {
	random  *rand.Rand
	machine *hold.Machine
	now     time.Time
	users   map[userid.User]int // versions
	runs    map[userid.User]int
	waiting []func() // answers under way
}

const (
	worldShards = 3
	perShard    = 70
)

func shardOf(u userid.User) uint32 {
	var n int
	_, _ = fmt.Sscan(u.ID, &n)
	return uint32(n / perShard)
}

func (w *world) step(event hold.Event, seen map[userid.User]int) {
	for _, effect := range w.machine.Step(event, w.now) {
		switch effect := effect.(type) {
		case hold.Read:
			w.read(effect)
		case hold.Run:
			loaded, _ := event.(hold.Loaded)
			for u, version := range seen {
				concerned := slices.ContainsFunc(effect.Claims, func(c hold.Claim) bool { return c.Shard == shardOf(u) })
				if concerned && (len(loaded.Read.Users) == 0 || slices.Contains(loaded.Read.Users, u)) {
					w.runs[u] = version
				}
			}
		case hold.Report:
			w.waiting = append(w.waiting, func() { w.step(hold.Reported{Have: effect.Have}, nil) })
		}
	}
}

// read reads the registry at some moment between the question and the answer.
func (w *world) read(read hold.Read) {
	w.waiting = append(w.waiting, func() {
		seen := maps.Clone(w.users)
		answer := hold.Loaded{Read: read, Failed: w.random.IntN(5) == 0}
		w.waiting = append(w.waiting, func() { w.step(answer, seen) })
	})
}

// A change whose word is passed on, alone or as one with others, reaches what runs, whatever
// is read meanwhile and whatever fails.
func TestNoUserStaysStale(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := &world{
			random: random, machine: hold.New(random), now: time.Unix(0, 0),
			users: make(map[userid.User]int), runs: make(map[userid.User]int),
		}
		var claims []hold.Claim
		for n := range worldShards {
			claims = append(claims, claim(uint32(n), 10))
			for i := range perShard {
				w.users[user(n*perShard+i)] = 0
			}
		}
		w.step(want(1, claims...), nil)
		merged := make(map[uint32]shard.Change) // words that have not arrived
		for round := 0; round < 400 || len(w.waiting) > 0 || len(merged) > 0 || !w.machine.Next().IsZero(); round++ {
			if round < 400 && random.IntN(2) == 0 {
				w.change(merged)
			}
			w.happen(merged)
		}
		for u, version := range w.users {
			if w.runs[u] != version {
				t.Fatalf("seed %d: user %v of shard %d runs as of version %d, the registry has %d", seed, u, shardOf(u), w.runs[u], version)
			}
		}
	}
}

// change changes some users of a shard, and has the word set out.
func (w *world) change(merged map[uint32]shard.Change) {
	number := w.random.IntN(worldShards)
	var users []userid.User
	for range 1 + w.random.IntN(3) {
		u := user(number*perShard + w.random.IntN(perShard))
		w.users[u]++
		users = append(users, u)
	}
	word := shard.ChangeOf(users...)
	if w.random.IntN(20) == 0 {
		word = shard.Change{}
	}
	if before, waits := merged[uint32(number)]; waits {
		word = before.Merge(word)
	}
	merged[uint32(number)] = word
}

// happen lets one thing happen: an answer, a word that arrives, or time that passes.
func (w *world) happen(merged map[uint32]shard.Change) {
	number := uint32(w.random.IntN(worldShards))
	word, waits := merged[number]
	switch {
	case waits && w.random.IntN(2) == 0:
		delete(merged, number)
		w.step(hold.Changed{Shard: shard.ID{Backend: backend, Number: number}, Change: word}, nil)
	case len(w.waiting) > 0:
		i := w.random.IntN(len(w.waiting))
		next := w.waiting[i]
		w.waiting = slices.Delete(w.waiting, i, i+1)
		next()
	default:
		w.now = w.now.Add(100 * time.Millisecond)
		w.step(hold.Tick{}, nil)
	}
}
