// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/services/listener-worker/internal/imap"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestMetricsCountListenersByStateAndLeaveNoneBehind(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	registry := prometheus.NewRegistry()
	r := &rig{creds: newFakeCredentials(), sink: newFakeSink()}
	r.loop = listen.New(listen.Config{Sources: map[string]listen.Source{imap.Name: imap.New(imap.Config{})}, Metrics: registry, Tuning: quick()}, r.creds, r.sink)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.loop.Run(ctx) }()

	r.creds.set(user("1"), "anna", "pw", 1)
	r.loop.Put(mailbox.Listening{User: user("1"), Store: plainStore(server.Addr()), CredentialVersion: 1})
	r.loop.Put(mailbox.Listening{User: user("2"), Store: plainStore(server.Addr()), CredentialVersion: 1}) // has no credential
	receive(t, "suspension", r.sink.suspended)
	until(t, "listeners by state", func() bool { return compare(registry, 1, 1) == nil })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := compare(registry, 0, 0); err != nil {
		t.Error(err)
	}
	for _, result := range []string{"ok", "no_credential"} {
		if n := gauged(t, registry, "mailpush_worker_imap_connects_total", map[string]string{"result": result}); n != 1 {
			t.Errorf("%v connects with the result %s", n, result)
		}
	}
}

// A listener that moves to another mail store is counted there, and nowhere else.
func TestMetricsFollowAListenerToAnotherMailStore(t *testing.T) {
	t.Parallel()
	server := scripted(t, imaptest.Script{})
	registry := prometheus.NewRegistry()
	r := &rig{creds: newFakeCredentials(), sink: newFakeSink()}
	r.loop = listen.New(listen.Config{Sources: map[string]listen.Source{imap.Name: imap.New(imap.Config{})}, Metrics: registry, Tuning: quick()}, r.creds, r.sink)
	r.run(t)
	r.creds.set(user("1"), "anna", "pw", 1)
	idleAt := func(name string) float64 {
		return gauged(t, registry, "mailpush_worker_listeners", map[string]string{"mail_store": name, "state": "idle"})
	}
	for _, name := range []string{"test", "other"} {
		store := plainStore(server.Addr())
		store.Name = name
		r.loop.Put(mailbox.Listening{User: user("1"), Store: store, CredentialVersion: 1})
		until(t, "idle at "+name, func() bool { return idleAt(name) == 1 })
	}
	if n := idleAt("test"); n != 0 {
		t.Errorf("%v listeners are left at the former mail store", n)
	}
	for _, operation := range []string{"open", "idle"} {
		if n := gauged(t, registry, "mailpush_worker_mail_store_seconds", map[string]string{"mail_store": "other", "operation": operation}); n < 1 {
			t.Errorf("to %s was timed %v times", operation, n)
		}
	}
}

// A mail store that is slow to fail counts as slow; one that refuses at once does not count
// as fast.
func TestOnlyAnswersAndTimeOutsAreTimed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script  imaptest.Script
		timeout time.Duration
		want    float64
	}{
		"timeout": {imaptest.Script{Greeting: "* OK hello\r\n", On: on("CAPABILITY", hang)}, hangingTimeout, 1},
		"limit":   {imaptest.Script{Greeting: "* BYE Connection queue full\r\n"}, honestTimeout, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			r := &rig{creds: newFakeCredentials(), sink: newFakeSink()}
			r.loop = listen.New(listen.Config{Sources: map[string]listen.Source{imap.Name: imap.New(imap.Config{})}, Metrics: registry, Tuning: quick()}, r.creds, r.sink)
			r.run(t)
			r.creds.set(user("1"), "anna", "pw", 1)
			store := plainStore(scripted(t, c.script).Addr())
			store.ResponseTimeout = durationpb.New(c.timeout)
			r.loop.Put(mailbox.Listening{User: user("1"), Store: store, CredentialVersion: 1})
			until(t, "a failure", func() bool {
				return gauged(t, registry, "mailpush_worker_imap_connects_total", map[string]string{"result": name}) > 0
			})
			timed := gauged(t, registry, "mailpush_worker_mail_store_seconds", map[string]string{"mail_store": "test", "operation": "open"})
			if timed < c.want || c.want == 0 && timed != 0 {
				t.Errorf("timed %v times, want %v", timed, c.want)
			}
		})
	}
}

// gauged is the value of a gauge or counter, or the number of observations of a histogram;
// 0 where it is not shown.
func gauged(t *testing.T, from prometheus.Gatherer, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			has := make(map[string]string)
			for _, pair := range metric.GetLabel() {
				has[pair.GetName()] = pair.GetValue()
			}
			if family.GetName() == name && maps.Equal(has, labels) {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func compare(registry *prometheus.Registry, idle, suspended int) error {
	digits := "0123456789"
	return testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP mailpush_worker_listeners Listeners by their mail store and what they are doing.
# TYPE mailpush_worker_listeners gauge
mailpush_worker_listeners{mail_store="test",state="backoff"} 0
mailpush_worker_listeners{mail_store="test",state="connecting"} 0
mailpush_worker_listeners{mail_store="test",state="idle"} `+digits[idle:idle+1]+`
mailpush_worker_listeners{mail_store="test",state="polling"} 0
mailpush_worker_listeners{mail_store="test",state="suspended"} `+digits[suspended:suspended+1]+`
mailpush_worker_listeners{mail_store="test",state="waiting"} 0
`), "mailpush_worker_listeners")
}
