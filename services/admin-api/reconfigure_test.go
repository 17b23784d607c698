// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// policy is which one workers are told of.
func (w *world) policy() string {
	w.t.Helper()
	res, err := w.registry(identity.Worker).GetInstallation(w.t.Context(), connect.NewRequest(&registryv1.GetInstallationRequest{}))
	check(w.t, err)
	return res.Msg.GetPolicy()
}

// reconfigure takes another configuration and waits until workers are told of its policy.
func (w *world) reconfigure(change func(c *Config)) {
	w.t.Helper()
	before := w.policy()
	c := w.config
	change(&c)
	take, err := w.service.Reconfigure(c)
	check(w.t, err)
	take()
	w.await("another policy", func() bool { return w.policy() != before })
}

func (w *world) await(what string, there func() bool) {
	w.t.Helper()
	for late := time.After(time.Minute); !there(); {
		select {
		case <-late:
			w.t.Fatalf("there is never %s; the log:\n%s", what, w.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Each switch of the policy takes listeners away and gives them back, while admin-api runs.
func TestSwitchesOfThePolicyTakeEffectWhileItRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.subscribes("249", "demo")
	first := w.policy()
	for name, off := range map[string]func(c *Config){
		"permanent push": func(c *Config) { c.AllowPermanentPush = false },
		"client":         func(c *Config) { c.AllowedClients = []string{"others-*"} },
		"backend":        func(c *Config) { c.PermanentBackends = map[string]bool{"imapidle": false} },
		"passwords":      func(c *Config) { c.CredStorage = false },
		"mail store": func(c *Config) {
			c.Stores = []*mailv1.MailStore{{Name: "other", Address: "127.0.0.1:143", Backend: "imapidle"}}
		},
	} {
		if users, _ := w.listedAs("imapidle", "249"); !slices.Equal(users, []string{"249"}) || len(w.loads()) != 1 {
			t.Errorf("before %s: %v are listed", name, users)
		}
		w.reconfigure(off)
		if users, _ := w.listedAs("imapidle", "249"); len(users) != 0 || len(w.loads()) != 0 {
			t.Errorf("without %s: %v are listed", name, users)
		}
		if got := w.post(asAdmin, adminURL+"Explain", `{"contextId":"1","userId":"249"}`); !strings.HasPrefix(got.str("verdict"), "no permanent listener") {
			t.Errorf("without %s: %s", name, got.text)
		}
		w.reconfigure(func(*Config) {})
		if w.policy() != first {
			t.Errorf("after %s it is another policy than at first", name)
		}
	}
	if users, _ := w.listedAs("imapidle", "249"); !slices.Equal(users, []string{"249"}) {
		t.Errorf("at the end %v are listed", users)
	}
}

// A mail store that is gone from the configuration is spoken of, with how many users it has,
// and nothing of them is lost.
func TestUsersOfAMailStoreThatIsGoneAreSpokenOf(t *testing.T) {
	t.Parallel()
	w := twoBackends(t)
	for n := range 3 {
		w.subscribes(fmt.Sprint(n), "second")
	}
	w.reconfigure(func(c *Config) { c.Stores = c.Stores[:1] })
	w.await("a warning", func() bool {
		return strings.Contains(w.log.String(), `level=WARN msg="mail store is not in the configuration, its users have no listener until it is there again" mail_store=second users=3`)
	})
	w.reconfigure(func(*Config) {})
	for n := range 3 {
		if users, _ := w.listedAs("other", fmt.Sprint(n)); !slices.Contains(users, fmt.Sprint(n)) {
			t.Errorf("user %d is not listed", n)
		}
	}
}

// Callers are those of the configuration that is in force: at once, and not one more.
func TestCallersAreThoseInForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	list := func(as string) int {
		return w.post(as, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`).status
	}
	if got := list(asApp); got != 200 {
		t.Fatalf("an application: %d", got)
	}
	if got := list(asAdmin); got != 200 {
		t.Fatalf("an administrator: %d", got)
	}
	c := w.config
	c.Admins = []Admin{{Name: "root", PasswordHash: HashPassword(secret.New("another"))}}
	c.Applications = []Application{{Name: "app", TokenHash: HashToken(secret.New("fresh")), Contexts: []string{"1"}}}
	take, err := w.service.Reconfigure(c)
	check(t, err)
	take()
	w.await("the new token", func() bool { return list("Bearer fresh") == 200 })
	if got := list(asApp); got != 401 {
		t.Errorf("the former token: %d", got)
	}
	if got := list(asAdmin); got != 401 {
		t.Errorf("the former password, which was right a moment ago: %d", got)
	}
}

func TestAConfigurationThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.subscribes("249", "demo")
	before := w.policy()
	for want, change := range map[string]func(c *Config){
		`admin "root"`: func(c *Config) { c.Admins = []Admin{{Name: "root", PasswordHash: "plain"}} },
		`application "app"`: func(c *Config) {
			c.Applications = []Application{{Name: "app", TokenHash: "plain", Contexts: []string{"1"}}}
		},
		`"demo" names no backend`:   func(c *Config) { c.Stores = []*mailv1.MailStore{{Name: "demo"}} },
		`needs the login of a user`: func(c *Config) { c.PasswordSourceGlobal = true },
	} {
		c := w.config
		c.AllowPermanentPush = false
		change(&c)
		if _, err := w.service.Reconfigure(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if users, _ := w.listedAs("imapidle", "249"); w.policy() != before || len(users) != 1 {
		t.Errorf("policy %s, before %s; listed %v", w.policy(), before, users)
	}
}
