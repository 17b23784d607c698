// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/secret"
)

type store struct {
	Address string        `yaml:"address"`
	Wait    time.Duration `yaml:"wait"`
}

type sample struct {
	Push struct {
		AllowPermanentPush bool          `yaml:"allowPermanentPush"`
		AllowedClients     []string      `yaml:"allowedClients"`
		Passcrypt          secret.String `yaml:"passcrypt"`
	} `yaml:"push"`
	TTL    time.Duration    `yaml:"ttl"`
	Count  uint32           `yaml:"count"`
	Name   string           `yaml:"name"`
	Stores map[string]store `yaml:"stores"`
	List   []store          `yaml:"list"`
	Nets   []netip.Prefix   `yaml:"nets"`
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	var got sample
	got.Count = 7
	given, err := config.Load(&got, config.Source{
		Name: "x.yaml",
		YAML: []byte("push: {allowPermanentPush: true, allowedClients: [a], passcrypt: 0123}\nttl: 5s\nname: file\nstores: {main: {address: x}}"),
		Env:  []string{"MAILPUSH_PUSH_ALLOWED_CLIENTS=[b, 'c*']", "MAILPUSH_NAME=env", "MAILPUSH_ADMIN_PORT=tcp://elsewhere"},
		Set:  []string{"name=flag", "ttl=3s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "c*"}, got.Push.AllowedClients); diff != "" {
		t.Error(diff)
	}
	if !got.Push.AllowPermanentPush || got.TTL != 3*time.Second || got.Name != "flag" || got.Count != 7 ||
		got.Stores["main"].Address != "x" || got.Push.Passcrypt.Reveal() != "0123" {
		t.Errorf("got %+v, passcrypt %q", got, got.Push.Passcrypt.Reveal())
	}
	want := config.Given{
		"push.allowPermanentPush": "x.yaml:1", "push.allowedClients": "MAILPUSH_PUSH_ALLOWED_CLIENTS", "push.passcrypt": "x.yaml:1",
		"ttl": "--set ttl", "name": "--set name",
		"stores": "x.yaml:4", "stores.main": "x.yaml:4", "stores.main.address": "x.yaml:4",
	}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Error(diff)
	}
}

// Where a part of a setting was given is known, too, unless another source has taken the
// place of the whole.
func TestWhereAPartWasGiven(t *testing.T) {
	t.Parallel()
	source := config.Source{Name: "x.yaml", YAML: []byte("name: x\nstores:\n  main:\n    address: a\nlist:\n- {address: a}\n-\n  address: b\n")}
	given, err := config.Load(new(sample), source)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"name": "x.yaml:1", "stores.main.address": "x.yaml:4", "stores.main.wait": "x.yaml:4", "list[1].address": "x.yaml:8", "list[7]": "x.yaml:6", "ttl": "",
	} {
		if got := given.At(key); got != want {
			t.Errorf("%s: at %q, want %q", key, got, want)
		}
	}
	source.Set = []string{"stores={main: {address: b}}"}
	if given, err = config.Load(new(sample), source); err != nil || given.At("stores.main.address") != "--set stores" {
		t.Errorf("%v, %v", given, err)
	}
}

// What holds no setting is no error, and text may be empty.
func TestNothingIsGiven(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# name: x\n", "push:\n  # allowedClients: [a]\n", "---\npush:\n...\n"} {
		if given, err := config.Load(new(sample), config.Source{Name: "x.yaml", YAML: []byte(text)}); err != nil || len(given) > 0 {
			t.Errorf("%q: %v, %v", text, given, err)
		}
	}
	got := sample{Name: "x"}
	if _, err := config.Load(&got, config.Source{Set: []string{"name=", "push.passcrypt=", "push.allowedClients=[]"}}); err != nil || got.Name != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		source config.Source
		want   string
	}{
		{"line and nearest key", config.Source{YAML: []byte("name: x\npush:\n  allowedClient: [a]\n")}, `x.yaml:3: unknown key "push.allowedClient"; did you mean "push.allowedClients"?`},
		{"nothing near", config.Source{YAML: []byte("push:\n  zebra: 1\n")}, `x.yaml:2: unknown key "push.zebra"; known here: allowPermanentPush, allowedClients, passcrypt`},
		{"below a map", config.Source{YAML: []byte("stores:\n  main:\n    adress: x\n")}, `x.yaml:3: unknown key "stores.main.adress"; did you mean "stores.main.address"?`},
		{"in a list", config.Source{YAML: []byte("list:\n- adress: x\n")}, `x.yaml:2: unknown key "list[0].adress"`},
		{"wrong type", config.Source{YAML: []byte("name: x\ncount: many\n")}, `x.yaml:2: count: "many" does not fit: want a number, whole and not negative`},
		{"not YAML", config.Source{YAML: []byte("a: [")}, "x.yaml"},
		{"duplicate", config.Source{YAML: []byte("name: x\nname: y\n")}, "name"},
		{"environment", config.Source{Env: []string{"MAILPUSH_TTL=soon"}}, `MAILPUSH_TTL from the environment: ttl: "soon" does not fit: want a duration`},
		{"flag", config.Source{Set: []string{"nmae=x"}}, `--set nmae: unknown key; did you mean "name"?`},
		{"flag without value", config.Source{Set: []string{"name"}}, "want key=value"},
		{"empty list", config.Source{Env: []string{"MAILPUSH_PUSH_ALLOWED_CLIENTS="}}, `MAILPUSH_PUSH_ALLOWED_CLIENTS from the environment: push.allowedClients is empty: want a list`},
		{"empty boolean", config.Source{Env: []string{"MAILPUSH_PUSH_ALLOW_PERMANENT_PUSH= "}}, `push.allowPermanentPush is empty: want true or false`},
		{"empty number", config.Source{Set: []string{"count="}}, `--set count: count is empty: want a number`},
		{"empty duration", config.Source{Set: []string{"ttl=~"}}, `--set ttl: ttl is empty: want a duration`},
		{"empty list in the file", config.Source{YAML: []byte("push:\n  allowedClients:\n  # - a\n")}, `x.yaml:2: push.allowedClients is empty: want a list`},
		{"empty below a map", config.Source{YAML: []byte("stores: {main: {wait: }}\n")}, `x.yaml:1: stores.main.wait is empty: want a duration`},
		{"second document", config.Source{YAML: []byte("name: x\n---\ncount: 7\n")}, `reading x.yaml: line 2: a second document`},
		{"second document in a value", config.Source{Set: []string{"list=[]\n---\n[]"}}, `--set list:`},
		{"unknown key in the environment", config.Source{Env: []string{"MAILPUSH_STORES={main: {adress: x}}"}}, `MAILPUSH_STORES from the environment: unknown key "stores.main.adress"; did you mean "stores.main.address"?`},
		{"unknown key in a flag", config.Source{Set: []string{"list=[{adress: x}]"}}, `--set list: unknown key "list[0].adress"`},
		{"wrong type below a map", config.Source{YAML: []byte("stores:\n  main:\n    wait: soon\n")}, `x.yaml:3: stores.main.wait: "soon" does not fit: want a duration like 30s or 5m`},
		{"a duration without a unit", config.Source{YAML: []byte("ttl: 30\n")}, `x.yaml:1: ttl: "30" does not fit: want a duration like 30s or 5m`},
		{"a negative number", config.Source{YAML: []byte("count: -1\n")}, `x.yaml:1: count: "-1" does not fit: want a number, whole and not negative`},
		{"a prefix without a length", config.Source{YAML: []byte("nets:\n- 10.1.0.0/16\n- 10.2.0.1\n")}, `x.yaml:3: nets[1]: "10.2.0.1" does not fit: want a prefix like 10.1.0.0/16`},
		{"a prefix too long", config.Source{Set: []string{"nets=[10.1.0.0/33]"}}, `--set nets: nets[0]: "10.1.0.0/33" does not fit: want a prefix`},
		{"text for a list", config.Source{YAML: []byte("push:\n  allowedClients: a\n")}, `x.yaml:2: push.allowedClients: want a list like [a, b] or []`},
		{"a list for text", config.Source{YAML: []byte("name: [x]\n")}, `x.yaml:1: name: want text`},
		{"a list for a secret", config.Source{YAML: []byte("push: {passcrypt: [hunter2]}\n")}, `x.yaml:1: push.passcrypt: want text`},
		{"text for settings", config.Source{YAML: []byte("push: yes\n")}, `x.yaml:1: push: want settings of its own below it`},
		{"text for a mapping", config.Source{YAML: []byte("stores: main\n")}, `x.yaml:1: stores: want a mapping like {name: {...}} or {}`},
		{"text for all of it", config.Source{YAML: []byte("hello\n")}, `x.yaml:1: want settings, each as its key and a value`},
		{"text for an item", config.Source{YAML: []byte("list:\n- main\n")}, `x.yaml:2: list[0]: want settings of its own below it`},
		{"all at once", config.Source{YAML: []byte("a: 1\nttll: 2s\n")}, "x.yaml:2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.source.Name = "x.yaml"
			_, err := config.Load(new(sample), c.source)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	f.Add([]byte("push: {allowPermanentPush: true}\n"), "name=x")
	f.Add([]byte("stores: {a: &x {address: y}, b: *x}\n"), "ttl=1")
	f.Add([]byte("a: &a [*a]\n"), "=")
	f.Fuzz(func(_ *testing.T, text []byte, set string) {
		_, _ = config.Load(new(sample), config.Source{Name: "x", YAML: text, Set: []string{set}})
	})
}
