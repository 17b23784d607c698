// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/rig"
)

// switchedWithin is the promise of how soon a switch reaches listeners, and what a machine
// with too much to do may take beyond it.
const switchedWithin = 30*time.Second + time.Minute

// switchTrial is a whole mailpush with one user, whose policy is switched off and on.
type switchTrial struct {
	t        *testing.T
	dir      string
	mail     *imaptest.Server
	mailpush *rig.Mailpush
	sink     *pushtest.Receiver
}

func newSwitchTrial(t *testing.T) *switchTrial {
	t.Helper()
	s := &switchTrial{t: t, dir: t.TempDir(), sink: pushtest.Start(t)}
	var err error
	if s.mail, err = imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.mail.Close() })
	if err := s.mail.AddUser(rig.Box(0), rig.Password); err != nil {
		t.Fatal(err)
	}
	s.mailpush, err = rig.New(t.Context(), rig.Options{Dir: s.dir, Programs: build(t), Store: rig.Store{Address: s.mail.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, service := range identity.Services() {
				t.Logf("log of %s:\n%s", service, s.mailpush.Process(service).Log())
			}
		}
		if err := s.mailpush.Close(); err != nil {
			t.Error(err)
		}
	})
	await(t, "a subscription", startTimeout, func(ctx context.Context) error {
		return s.mailpush.Subscribe(ctx, rig.Box(0), s.sink.URL())
	})
	if err := s.mailpush.AwaitIdle(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *switchTrial) deliver(subject string) {
	s.t.Helper()
	if _, err := s.mail.Deliver(rig.Box(0), []byte("From: zoe@example.org\r\nSubject: "+subject+"\r\n\r\nHi\r\n")); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits for the push of a mail, which has to be the next.
func (s *switchTrial) expect(subject string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), switchedWithin)
	defer cancel()
	got, err := s.sink.Next(ctx, pushtest.Not(pushtest.OfType(pushtest.TypePing)))
	if err != nil || !pushtest.About(subject)(got) {
		s.t.Fatalf("no push for %q, but %+v: %v", subject, got, err)
	}
}

// connections waits until so many are open at the mail store.
func (s *switchTrial) connections(what string, want int) (took time.Duration) {
	s.t.Helper()
	began := time.Now()
	await(s.t, what, switchedWithin, func(context.Context) error {
		if have := s.mail.Connections(); have != want {
			return fmt.Errorf("%d connections, want %d", have, want)
		}
		return nil
	})
	return time.Since(began)
}

// configure writes the file that all processes read.
func (s *switchTrial) configure(before, after string) {
	s.t.Helper()
	err := s.mailpush.Configure(func(text string) string {
		if !strings.Contains(text, before) {
			s.t.Errorf("the configuration has no %q", before)
		}
		return strings.Replace(text, before, after, 1)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *switchTrial) hangUp(services ...string) {
	s.t.Helper()
	for _, service := range services {
		if err := syscall.Kill(s.mailpush.Process(service).Pid(), syscall.SIGHUP); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Every switch of the policy ends a listener that runs and brings it back, by the file alone
// and with SIGHUP, without a restart of anything; the mail that comes meanwhile is pushed.
func TestSwitchesReachRunningListeners(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes") //nolint:forbidigo // only with -short
	}
	t.Parallel()
	s := newSwitchTrial(t)
	for n, c := range []struct{ name, on, off string }{
		{"push.allowPermanentPush", "push:\n", "push:\n  allowPermanentPush: false\n"},
		{"push.allowedClients", "push:\n", "push:\n  allowedClients: [others]\n"},
		{"imapidle.supportsPermanentListeners", "supportsPermanentListeners: true", "supportsPermanentListeners: false"},
		{"mail.stores", "\n    bench:", "\n    elsewhere:"},
	} {
		s.configure(c.on, c.off)
		if n%2 == 1 {
			s.hangUp(identity.Admin) // the file alone would do as well
		}
		t.Logf("%s off: ended after %s", c.name, s.connections(c.name+" off", 0).Round(time.Millisecond))
		subject := fmt.Sprintf("while off %d", n)
		s.deliver(subject)
		explained, err := s.mailpush.Admin.Explain(t.Context(), connect.NewRequest(&adminv1.ExplainRequest{ContextId: "1", UserId: rig.Box(0)}))
		if err != nil || !strings.HasPrefix(explained.Msg.GetVerdict(), "no permanent listener") {
			t.Errorf("%s off: %v, %v", c.name, explained, err)
		}
		s.configure(c.off, c.on)
		t.Logf("%s on: back after %s", c.name, s.connections(c.name+" on", 1).Round(time.Millisecond))
		s.expect(subject)
	}
	if log := s.mailpush.Process(identity.Admin).Log(); !strings.Contains(log, `"mail_store":"bench","users":1`) {
		t.Errorf("nobody spoke of the users of the mail store that was gone:\n%s", log)
	}
}

// SIGHUP ends no process, whatever the configuration is like.
func TestSIGHUPEndsNoProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes") //nolint:forbidigo // only with -short
	}
	t.Parallel()
	s := newSwitchTrial(t)
	const refused = "the configuration was read again and is not taken"
	for round, text := range []string{"log: {level: info, format: json}", "log: {level: loud"} {
		s.configure("log: {level: warn, format: json}", text)
		for range 3 {
			s.hangUp(identity.Services()...)
		}
		for _, service := range identity.Services() {
			await(t, service, startTimeout, func(context.Context) error {
				log := s.mailpush.Process(service).Log()
				if !strings.Contains(log, []string{`"why":"SIGHUP"`, refused}[round]) {
					return errors.New("it has not read the configuration")
				}
				return nil
			})
			select {
			case <-s.mailpush.Process(service).Ended():
				t.Fatalf("%s has ended: %v", service, s.mailpush.Process(service).Err())
			default:
			}
		}
		s.configure(text, "log: {level: warn, format: json}")
	}
	s.deliver("after all")
	s.expect("after all")
}

// awaitMetric waits until the worker tells a value.
func (s *switchTrial) awaitMetric(name string, want float64) {
	s.t.Helper()
	await(s.t, name, startTimeout, func(ctx context.Context) error {
		got, err := rig.Metric(ctx, s.mailpush.WorkerOps(), name)
		if err == nil && got != want {
			err = fmt.Errorf("it is %v, want %v", got, want)
		}
		return err
	})
}

// A certificate that does not fit its key leaves the one before in force; one that does is
// taken without a restart.
func TestCertificatesAreRenewedInPlace(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes") //nolint:forbidigo // only with -short
	}
	t.Parallel()
	s := newSwitchTrial(t)
	s.awaitMetric("mailpush_config_generation", 1)
	s.awaitMetric("mailpush_config_last_reload_successful", 1)
	tls := filepath.Join(s.dir, "tls")
	others, err := os.ReadFile(filepath.Join(tls, identity.Vault+".crt"))
	if err == nil {
		err = os.WriteFile(filepath.Join(tls, identity.Worker+".crt"), others, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.awaitMetric("mailpush_config_last_reload_successful", 0)
	if log := s.mailpush.Process(identity.Worker).Log(); !strings.Contains(log, "private key does not match") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	s.deliver("under the former certificate")
	s.expect("under the former certificate")

	authority, err := identity.OpenAuthority(filepath.Join(s.dir, "authority"), "rig")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range identity.Services() {
		if _, err := authority.Write(service, tls); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitMetric("mailpush_config_last_reload_successful", 1)
	s.awaitMetric("mailpush_config_generation", 2)
	s.awaitMetric("mailpush_config_restart_needed", 0)
	s.deliver("under the new certificate")
	s.expect("under the new certificate")
}
