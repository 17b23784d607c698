// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hints_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/shard"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const shards = 1 << 16

// fakeCluster is everything around a hub: the workers by address, with who has a
// listener where, and the registry. It is the cluster as "here" sees it.
type fakeCluster struct {
	t   *testing.T
	hub *hints.Hub

	mu        sync.Mutex
	owners    map[uint32]string                // addresses; "here" is the hub's own
	listeners map[string]map[mailbox.User]bool // by address
	down      map[string]bool                  // do not answer
	refuses   map[string]bool                  // answer with an error
	logins    map[string][]mailbox.User
	got       map[string][]hints.Routed
	here      []mailbox.Hint
	calls     map[string]int
	out       map[string]int
	unknown   []mailbox.User
}

var errRefused = errors.New("refused")

// Hint implements [hints.Listeners].
func (c *fakeCluster) Hint(user mailbox.User, hint mailbox.Hint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners["here"][user] {
		c.here = append(c.here, hint)
		return true
	}
	return false
}

// Notify implements [hints.Workers].
func (c *fakeCluster) Notify(ctx context.Context, address string, routed []hints.Routed) ([]hints.Verdict, error) {
	if err := c.begin(ctx, address); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out[address]--
	out := make([]hints.Verdict, len(routed))
	for i, hint := range routed {
		switch {
		case c.listeners[address][hint.User]:
			c.got[address] = append(c.got[address], hint)
			out[i] = hints.Taken
		case c.owners[shardOf(hint.User)] == address:
			out[i] = hints.Unknown
		default:
			out[i] = hints.Elsewhere
		}
	}
	return out, nil
}

// begin is the beginning of a call, which may hang.
func (c *fakeCluster) begin(ctx context.Context, address string) error {
	c.mu.Lock()
	c.calls[address]++
	if c.out[address]++; c.out[address] > 1 {
		c.t.Errorf("%d calls are out to %s", c.out[address], address)
	}
	down, refuses := c.down[address], c.refuses[address]
	c.mu.Unlock()
	if down {
		<-ctx.Done()
	} else {
		<-time.After(time.Millisecond) // simulated
	}
	if down || refuses {
		c.mu.Lock()
		c.out[address]--
		c.mu.Unlock()
		return errors.Join(errRefused, ctx.Err())
	}
	return nil
}

// FindUsers implements [hints.Names].
func (c *fakeCluster) FindUsers(ctx context.Context, backend string, logins []string) ([][]mailbox.User, error) {
	if err := c.begin(ctx, "registry"); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out["registry"]--
	out := make([][]mailbox.User, len(logins))
	for i, login := range logins {
		if backend != "dovecot" {
			c.t.Errorf("logins of backend %q", backend)
		}
		out[i] = c.logins[login]
	}
	return out, nil
}

// own says who runs a user's shard, "" for nobody, and tells the hub.
func (c *fakeCluster) own(user mailbox.User, address string) {
	c.mu.Lock()
	if address == "" {
		delete(c.owners, shardOf(user))
	} else {
		c.owners[shardOf(user)] = address
	}
	c.mu.Unlock()
	c.hub.Owned(func(id shard.ID) (hints.Owner, bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		address, known := c.owners[id.Number]
		return hints.Owner{Worker: address, Address: address}, known && id.Backend == "dovecot"
	})
}

// listen has a worker listen for a user whose shard it runs.
func (c *fakeCluster) listen(user mailbox.User, address string) {
	c.mu.Lock()
	if c.listeners[address] == nil {
		c.listeners[address] = make(map[mailbox.User]bool)
	}
	c.listeners[address][user] = true
	c.mu.Unlock()
	c.own(user, address)
}

func (c *fakeCluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// brought are the UIDs a worker was brought.
func (c *fakeCluster) brought(address string) []uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []uint32
	for _, hint := range c.got[address] {
		out = append(out, hint.UID)
	}
	return out
}

func (c *fakeCluster) count(of string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[of]
}

func shardOf(user mailbox.User) uint32 { return shard.Of(user.Context, user.ID, shards) }

func user(n int) mailbox.User { return mailbox.User{Context: "1", ID: fmt.Sprint(n)} }

func hint(name string, uid uint32) hints.Hint {
	return hints.Hint{Backend: "dovecot", Name: name, Hint: mailbox.Hint{
		Folder: mailbox.Inbox, UIDValidity: 7, UID: uid, At: time.Now(), Mail: &mailbox.Mail{UID: uid},
	}}
}

// inCluster runs a test with a running hub, in simulated time.
func inCluster(t *testing.T, cfg hints.Config, test func(c *fakeCluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCluster{
			t: t, hub: hints.New(cfg), owners: make(map[uint32]string), listeners: make(map[string]map[mailbox.User]bool),
			down: make(map[string]bool), refuses: make(map[string]bool), logins: make(map[string][]mailbox.User),
			got: make(map[string][]hints.Routed), calls: make(map[string]int), out: make(map[string]int),
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.hub.Run(ctx) }()
		c.hub.Join(hints.Worker{
			Shards: shards, Self: func() string { return "here" }, Listeners: c, Workers: c, Names: c,
			Unknown: func(_ string, user mailbox.User) { c.set(func() { c.unknown = append(c.unknown, user) }) },
		})
		test(c)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-time.After(time.Minute) // simulated: timers that are left do nothing
		synctest.Wait()
	})
}

// take brings a hint, and holds the hub to its patience.
func (c *fakeCluster) take(h hints.Hint) hints.Result {
	began := time.Now()
	result := c.hub.Take(c.t.Context(), h)
	if took := time.Since(began); took > hints.Patience {
		c.t.Errorf("whoever brought a hint waited for %s", took)
	}
	return result
}

func pass(d time.Duration) {
	<-time.After(d) // simulated
	synctest.Wait()
}

func TestAHintFindsItsListener(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "here")
		c.listen(user(2), "there")
		if got := c.take(hint("1@1", 11)); got != hints.Local || len(c.here) != 1 || c.here[0].Mail == nil {
			t.Errorf("one of this worker: %s, %+v", got, c.here)
		}
		if got := c.take(hint("2@1", 11)); got != hints.Passed || !slices.Equal(c.brought("there"), []uint32{11}) {
			t.Errorf("one of another: %s, %v", got, c.brought("there"))
		}
		if c.count("registry") != 0 {
			t.Error("the registry was asked for a user that is known")
		}
	})
}

func TestALoginIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "here")
		c.listen(user(2), "there")
		c.logins = map[string][]mailbox.User{"anna": {user(1)}, "zoe@example.org": {user(2)}, "two": {user(1), user(2)}}
		for uid := range uint32(3) {
			c.take(hint("anna", 11+uid))
			c.take(hint("zoe@example.org", 11+uid))
		}
		if got := c.count("registry"); got != 2 {
			t.Errorf("asked %d times, want once for each login", got)
		}
		if len(c.here) != 3 || !slices.Equal(c.brought("there"), []uint32{11, 12, 13}) {
			t.Errorf("here %v, there %v", c.here, c.brought("there"))
		}
		c.take(hint("two", 20))
		pass(time.Second)
		c.take(hint("two", 21))
		pass(time.Second)
		last := c.here[len(c.here)-1]
		if len(c.here) != 5 || last.Mail != nil || last.UID != 0 || !slices.Equal(c.brought("there")[3:], []uint32{0, 0}) {
			t.Errorf("of a login that two have: here %v, there %v; want looks", c.here, c.brought("there"))
		}
	})
}

func TestWhoIsUnknownIsToldOf(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.own(user(1), "here")
		c.own(user(2), "there")
		for name, want := range map[string]hints.Result{"1@1": hints.Nobody, "2@1": hints.Nobody, "nobody": hints.Nobody} {
			if got := c.take(hint(name, 11)); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if !slices.Equal(c.unknown, []mailbox.User{user(1)}) {
			t.Errorf("told of %v, want the one whose shard is here", c.unknown)
		}
		asked := c.count("registry")
		for range 100 {
			c.take(hint("nobody", 11))
		}
		if c.count("registry") != asked {
			t.Error("asked again at once for one that nobody knows")
		}
		c.listen(user(1), "here") // subscribed
		if got := c.take(hint("1@1", 11)); got != hints.Local {
			t.Errorf("%s after it was subscribed", got)
		}
		pass(5 * time.Second)
		c.listen(user(2), "there")
		if got := c.take(hint("2@1", 12)); got != hints.Passed {
			t.Errorf("%s after it was subscribed elsewhere", got)
		}
	})
}

func TestAHintForAShardBetweenOwnersIsRemembered(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		for uid := range uint32(5) {
			if got := c.take(hint("1@1", 11+uid)); got != hints.Kept {
				t.Errorf("%s, want it remembered", got)
			}
		}
		c.take(hint("2@1", 3))
		pass(time.Minute)
		c.listen(user(1), "there")
		pass(time.Second)
		if got := c.brought("there"); !slices.Equal(got, []uint32{15}) {
			t.Errorf("the owner was brought %v, want one hint of the newest", got)
		}
		c.listen(user(2), "here")
		pass(time.Second)
		if len(c.here) != 1 || c.here[0].UID != 3 {
			t.Errorf("here %v", c.here)
		}
	})
}

func TestAnOwnerThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "hangs")
		c.listen(user(2), "there")
		c.set(func() { c.down["hangs"] = true })
		for uid := range uint32(200) {
			c.take(hint("1@1", 11+uid))
			if got := c.take(hint("2@1", 11+uid)); got != hints.Passed {
				t.Errorf("another worker's hint: %s", got)
			}
		}
		began := time.Now()
		c.take(hint("1@1", 999))
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %s for a worker that is known to hang", took)
		}
		c.set(func() { c.listeners["new"] = c.listeners["hangs"] })
		c.own(user(1), "new") // the one that hangs has lost its lease
		pass(3 * time.Second)
		if got := c.brought("new"); !slices.Equal(got, []uint32{999}) {
			t.Errorf("the new owner was brought %v", got)
		}
	})
}

func TestAnOwnerThatComesBackIsBroughtWhatWaits(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "there")
		c.set(func() { c.refuses["there"] = true })
		c.take(hint("1@1", 11))
		pass(time.Minute)
		if calls := c.count("there"); calls < 10 || calls > 120 {
			t.Errorf("tried %d times in a minute", calls)
		}
		c.set(func() { c.refuses["there"] = false })
		pass(3 * time.Second)
		if got := c.brought("there"); !slices.Equal(got, []uint32{11}) {
			t.Errorf("brought %v", got)
		}
	})
}

func TestALookUpThatFailsIsMadeUpFor(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "here")
		c.logins["anna"] = []mailbox.User{user(1)}
		c.set(func() { c.down["registry"] = true })
		if got := c.take(hint("anna", 11)); got != hints.Kept {
			t.Errorf("%s", got)
		}
		pass(time.Minute)
		c.set(func() { c.down["registry"] = false })
		pass(5 * time.Second)
		if len(c.here) != 1 || c.here[0].UID != 11 {
			t.Errorf("here %v", c.here)
		}
	})
}

// A worker that says that it does not run a shard which it is said to run is asked again
// some time, and not at once.
func TestWordThatIsOldIsNoLoop(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.own(user(1), "there")
		c.set(func() { c.owners = map[uint32]string{} }) // it has let go, and the hub does not know yet
		c.hub.Owned(func(shard.ID) (hints.Owner, bool) { return hints.Owner{Worker: "there", Address: "there"}, true })
		c.take(hint("1@1", 11))
		pass(10 * time.Second)
		if calls := c.count("there"); calls < 5 || calls > 50 {
			t.Errorf("asked %d times in 10 s", calls)
		}
		c.listen(user(1), "new")
		pass(time.Second)
		if got := c.brought("new"); !slices.Equal(got, []uint32{11}) {
			t.Errorf("brought %v", got)
		}
	})
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{Most: 100, MaxAge: time.Minute}, func(c *fakeCluster) {
		for n := range 1000 {
			c.take(hint(user(n).String(), 11))
		}
		c.listen(user(999), "new")
		c.listen(user(0), "new")
		pass(time.Second)
		if got := len(c.brought("new")); got != 1 {
			t.Errorf("%d were remembered of the first and the last, want the last", got)
		}
		pass(2 * time.Minute)
		c.listen(user(998), "late")
		pass(time.Second)
		if got := c.brought("late"); len(got) > 0 {
			t.Errorf("%v was remembered for 2 minutes, want one", got)
		}
	})
}

// Whatever comes for one user while its worker answers slowly is a hint or two.
func TestAFloodForOneUserIsOneCallAtATime(t *testing.T) {
	t.Parallel()
	inCluster(t, hints.Config{}, func(c *fakeCluster) {
		c.listen(user(1), "there")
		var all sync.WaitGroup
		for uid := range uint32(10_000) {
			all.Go(func() { c.take(hint("1@1", 11+uid)) })
		}
		all.Wait()
		pass(time.Second)
		got := c.brought("there")
		if len(got) > 100 {
			t.Errorf("10,000 hints became %d", len(got))
		}
		if last := slices.Max(got); last != 10_010 {
			t.Errorf("the newest is %d", last)
		}
	})
}

func TestBeforeThereIsAClusterHintsAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := hints.New(hints.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- hub.Run(ctx) }()
		began := time.Now()
		if got := hub.Take(ctx, hint("1@1", 11)); got != hints.Kept || time.Since(began) > 0 {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		if got := hub.Here(hints.Routed{Backend: "dovecot", User: user(1)}); got != hints.Elsewhere {
			t.Errorf("verdict %d", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
