// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
	if n := testutil.CollectAndCount(registry, "mailpush_worker_imap_connects_total"); n != 2 {
		t.Errorf("%d results of connects", n)
	}
}

func compare(registry *prometheus.Registry, idle, suspended int) error {
	digits := "0123456789"
	return testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP mailpush_worker_listeners Listeners by what they are doing.
# TYPE mailpush_worker_listeners gauge
mailpush_worker_listeners{state="backoff"} 0
mailpush_worker_listeners{state="connecting"} 0
mailpush_worker_listeners{state="idle"} `+digits[idle:idle+1]+`
mailpush_worker_listeners{state="polling"} 0
mailpush_worker_listeners{state="suspended"} `+digits[suspended:suspended+1]+`
mailpush_worker_listeners{state="waiting"} 0
`), "mailpush_worker_listeners")
}
