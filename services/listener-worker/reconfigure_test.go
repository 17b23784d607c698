// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	worker "mailpush.internal/services/listener-worker"
)

// What mail stores log in with is what the configuration in force says, and one that is no
// good changes nothing.
func TestWhoMayNotifyChangesWhileAWorkerRuns(t *testing.T) {
	t.Parallel()
	cfg := worker.Config{
		Listener: listenTCP(t), RegistryAddrs: []string{"127.0.0.1:1"}, VaultAddrs: []string{"127.0.0.1:1"}, Capacity: 1,
		Notify: worker.Notify{Listener: listenTCP(t), Name: "dove", Password: secret.New("former")},
	}
	cfg.Cluster.Endpoints = []string{"http://127.0.0.1:1"}
	w, err := worker.New(cfg, service.Runtime{Log: discard(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	background(t, w.Run)
	notify := func() int {
		t.Helper()
		status, _, _ := put(t, "http://"+cfg.Notify.Listener.Addr().String()+"/preliminary/http-notify/v1/notify", notification("249@1", 1, 1, "x"))
		return status
	}
	if got := notify(); got != 401 {
		t.Errorf("before: %d", got)
	}
	next := cfg
	next.Notify.Password = secret.New("s3cret")
	bad := next
	bad.WebhookRules = []worker.WebhookRule{{Origin: "https://hooks.example", CAFile: "/nowhere"}}
	if _, err := w.Reconfigure(bad); err == nil || !strings.Contains(err.Error(), "push.webhook.rules[0].caFile") {
		t.Errorf("a rule without its file: %v", err)
	}
	if got := notify(); got != 401 {
		t.Errorf("after a configuration that is no good: %d", got)
	}
	next.AllowPrivateWebhooks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	take, err := w.Reconfigure(next)
	if err != nil {
		t.Fatal(err)
	}
	if take(); notify() != 200 {
		t.Error("the new password is refused")
	}
	// An address that is taken from the configuration takes a restart: until then its login
	// is good.
	next.Notify = worker.Notify{}
	if take, err = w.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	if take(); notify() != 200 {
		t.Error("the password is refused while the address is open")
	}
}
