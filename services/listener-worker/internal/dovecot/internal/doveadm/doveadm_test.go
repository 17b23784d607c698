// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What several want at the same moment goes in few POSTs, and everybody has its own answer.
func TestManyUsersGoInFewPosts(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	c := f.client(t, nil)
	for user, err := range ask(t, c, many(200)...) {
		if err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	posts := f.seen()
	if len(posts) > 60 {
		t.Errorf("%d POSTs for 200 users", len(posts))
	}
	for _, post := range posts {
		if len(post) > 50 {
			t.Errorf("%d commands in a POST", len(post))
		}
	}
}

func TestPostsHoldFewerReads(t *testing.T) {
	t.Parallel()
	c := &Client{}
	for range 100 {
		c.waiting = append(c.waiting, &request{weight: readWeight})
	}
	if got := c.fitting(); got != 16 {
		t.Errorf("%d reads in a POST", got)
	}
	for _, r := range c.waiting {
		r.weight = lightWeight
	}
	if got := c.fitting(); got != 50 {
		t.Errorf("%d light commands in a POST", got)
	}
	c.waiting[3].alone = true
	if got := c.fitting(); got != 3 {
		t.Errorf("%d before one that is to be alone", got)
	}
	if c.waiting = c.waiting[3:]; c.fitting() != 1 {
		t.Error("one that is to be alone has company")
	}
}

func TestNoMorePostsAtOnceThanAllowed(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	f.whole = func(_ http.ResponseWriter, r *http.Request, _ []asked) bool {
		entered <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
		return false
	}
	c := f.client(t, func(cfg *Config) { cfg.Concurrency = 3 })
	done := make(chan map[string]error, 1)
	go func() { done <- ask(t, c, many(300)...) }()
	for range 3 {
		<-entered
	}
	select {
	case <-entered:
		t.Error("a fourth POST at once")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	for user, err := range <-done {
		if err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// A mailbox that ends the process, or makes the answer none, is found and set aside; all
// others are answered.
func TestOneUserThatFailsIsSetAside(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]func(http.ResponseWriter, *http.Request){
		"ends":    hangUp,
		"hangs":   hang,
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[["doveadmResponse",[{"a":`) },
		"half":    func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "1000"); hangUp(w, r) },
		"400":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			f.behave("u0", way) // the first of its batch
			f.behave("u31", way)
			c := f.client(t, func(cfg *Config) { cfg.Timeout = 300 * time.Millisecond })
			users := many(40)
			aside := func(user string) bool { return user == "u0" || user == "u31" }
			for range 2 { // the first time one may be asked for before anybody else was answered
				for user, err := range ask(t, c, users...) {
					if (err != nil) != aside(user) {
						t.Errorf("%s: %v", user, err)
					}
				}
			}
			f.mu.Lock()
			before := len(f.posts)
			f.mu.Unlock()
			for user, err := range ask(t, c, users...) {
				if (err != nil) != aside(user) || aside(user) && !IsKind(err, Aside) {
					t.Errorf("then %s: %v", user, err)
				}
			}
			for _, post := range f.seen()[before:] {
				for _, a := range post {
					if aside(a.user) {
						t.Errorf("%s is asked for although it is set aside", a.user)
					}
				}
			}
		})
	}
}

// Whoever was set aside is asked for alone when its time is over, and is as the others
// again when that works.
func TestSetAsideEnds(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.behave("u1", hangUp)
	c := f.client(t, nil)
	ask(t, c, many(3)...)
	f.behave("u1", nil)
	c.mu.Lock()
	if c.aside["u1"] == nil {
		t.Fatal("u1 was not set aside")
	}
	c.aside["u1"].until = time.Now()
	c.mu.Unlock()
	for user, err := range ask(t, c, many(3)...) {
		if err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.aside) > 0 {
		t.Errorf("still aside: %v", c.aside)
	}
	for _, post := range f.seen() {
		if len(post) > 1 && post[0].user == "u1" && len(f.seen()) == 1 {
			t.Error("it was not asked for alone")
		}
	}
}

// Where nobody is answered it is no user's fault: nobody is set aside, and there are few
// POSTs until it is over.
func TestMailStoreThatIsIllSetsNobodyAside(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]func(http.ResponseWriter, *http.Request){
		"ends":    hangUp,
		"hangs":   hang,
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			f.whole = func(w http.ResponseWriter, r *http.Request, _ []asked) bool { way(w, r); return true }
			c := f.client(t, func(cfg *Config) { cfg.Timeout = 300 * time.Millisecond })
			for user, err := range ask(t, c, many(60)...) {
				if err == nil || IsKind(err, Aside) {
					t.Errorf("%s: %v", user, err)
				}
			}
			if posts := len(f.seen()); posts > 2*failuresOfAll {
				t.Errorf("%d POSTs to a mail store that answers none", posts)
			}
			f.mu.Lock()
			f.whole = nil
			f.mu.Unlock()
			c.mu.Lock()
			c.outage.until = time.Now()
			c.mu.Unlock()
			if err := ask(t, c, "u1")["u1"]; err != nil {
				t.Errorf("when it is well again: %v", err)
			}
		})
	}
}

func TestRefusalsOfAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		kind   Kind
	}{
		"wrong key":   {http.StatusUnauthorized, Denied},
		"no such API": {http.StatusNotFound, Down},
		"redirect":    {http.StatusFound, Down},
		"overloaded":  {http.StatusServiceUnavailable, Down},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			f.whole = func(w http.ResponseWriter, _ *http.Request, _ []asked) bool {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				return true
			}
			client := f.client(t, nil)
			for user, err := range ask(t, client, many(60)...) {
				if !IsKind(err, c.kind) || strings.Contains(err.Error(), apiKey) {
					t.Errorf("%s: %v", user, err)
				}
			}
			if posts := len(f.seen()); posts > 4 {
				t.Errorf("%d POSTs", posts)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	c := New(Config{URL: refusing(t)})
	t.Cleanup(c.Close)
	if err := ask(t, c, "u1")["u1"]; !IsKind(err, Down) {
		t.Errorf("got %v", err)
	}
}

// An answer that was meant for another POST is none, whatever is in it.
func TestAnotherPostsAnswer(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	var first []asked
	f.whole = func(w http.ResponseWriter, _ *http.Request, all []asked) bool {
		if first == nil {
			first = all
			return false
		}
		answer(w, first, nil)
		return true
	}
	c := f.client(t, func(cfg *Config) { cfg.Concurrency = 1 })
	if err := ask(t, c, "u1")["u1"]; err != nil {
		t.Fatal(err)
	}
	if err := ask(t, c, "u2")["u2"]; !IsKind(err, Broken) && !IsKind(err, Aside) {
		t.Errorf("got %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.rows = func(a asked) string {
		code := strings.TrimPrefix(a.user, "exit")
		return `["error",{"type":"exitCode","exitCode":` + code + `},"` + a.tag + `"]`
	}
	c := f.client(t, nil)
	for user, kind := range map[string]Kind{
		"exit67": NoUser, "exit65": Impossible, "exit68": Refused, "exit75": Later, "exit77": Refused, "exit1002": Refused, "exit-1": Refused,
	} {
		if err := ask(t, c, user)[user]; !IsKind(err, kind) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.behave("large", func(w http.ResponseWriter, _ *http.Request) {
		filler := strings.Repeat(" ", 1<<20)
		for range maxAnswer>>20 + 1 {
			if _, err := io.WriteString(w, filler); err != nil {
				return
			}
		}
	})
	c := f.client(t, nil)
	got := ask(t, c, "u1", "large", "u2")
	if !IsKind(got["large"], TooLarge) || got["u1"] != nil || got["u2"] != nil {
		t.Errorf("got %v", got)
	}
}

func TestNamesThatNobodyHas(t *testing.T) {
	t.Parallel()
	c := New(Config{URL: refusing(t)})
	t.Cleanup(c.Close)
	for _, user := range []string{"", "a\nb", "a\x00", "*", "*@example.org", "ann?", strings.Repeat("x", maxUser+1)} {
		if _, err := c.Ask(t.Context(), user, Status()); !IsKind(err, NoUser) {
			t.Errorf("%q: %v", user, err)
		}
	}
}

// Whoever gives up does not wait, and whoever closes leaves nobody waiting.
func TestGivingUpAndClosing(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	f.whole = func(w http.ResponseWriter, r *http.Request, _ []asked) bool { hang(w, r); return true }
	c := f.client(t, func(cfg *Config) { cfg.Concurrency = 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, "u1", Status()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	done := make(chan map[string]error, 1)
	go func() { done <- ask(t, c, "u2", "u3") }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(f.seen()) < 2 {
		<-tick.C
	}
	c.Close()
	for user, err := range <-done {
		if !IsKind(err, Down) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := c.Ask(t.Context(), "u4", Status()); !IsKind(err, Down) {
		t.Errorf("after the end: %v", err)
	}
}
