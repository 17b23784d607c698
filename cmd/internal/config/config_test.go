// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
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
		"ttl": "--set ttl", "name": "--set name", "stores": "x.yaml:4",
	}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Error(diff)
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
		{"wrong type", config.Source{YAML: []byte("name: x\ncount: many\n")}, "line 2"},
		{"not YAML", config.Source{YAML: []byte("a: [")}, "x.yaml"},
		{"duplicate", config.Source{YAML: []byte("name: x\nname: y\n")}, "name"},
		{"environment", config.Source{Env: []string{"MAILPUSH_TTL=soon"}}, `MAILPUSH_TTL from the environment: "soon" does not fit: want a duration`},
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
