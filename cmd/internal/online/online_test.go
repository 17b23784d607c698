// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package online_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
)

// What hangs costs the time of one try, and hides nothing of the others.
func TestALookIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		probes := []online.Probe{{What: "a", Try: hangs}, {What: "b", Try: func(context.Context) (string, error) { return "version 1", nil }}, {What: "c", Try: hangs}}
		var said bytes.Buffer
		began := time.Now()
		err := online.Look(t.Context(), &said, probes)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		want := "NOT reached    a: context deadline exceeded\nreached        b, version 1\nNOT reached    c: context deadline exceeded\n"
		if err == nil || err.Error() != "2 of 3 are not reached" || said.String() != want {
			t.Errorf("%v\n%s", err, said.String())
		}
	})
}

// nowhere is an address at which nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve runs a service of the authority until the test ends.
func serve(t *testing.T, authority *identity.Authority, name string) (address string) {
	t.Helper()
	id, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- service.Serve(ctx, slog.New(slog.DiscardHandler), name, l, id.ServerTLS(), http.NotFoundHandler())
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// world is a cluster with all that a worker and an admin-api look for.
func world(t *testing.T) *settings.Settings {
	t.Helper()
	dir := t.TempDir()
	s := settings.Default()
	authority, err := identity.OpenAuthority(filepath.Join(dir, "tls"), s.Cluster.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.Identity.Dir = filepath.Join(dir, "tls")
	for _, name := range identity.Services() {
		if _, err := authority.Write(name, s.Identity.Dir); err != nil {
			t.Fatal(err)
		}
	}
	etcd, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(dir, "e")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	s.Cluster.Etcd.Endpoints = etcd.Endpoints()
	s.Admin.Database = secret.New("sqlite://" + filepath.Join(dir, "registry.db"))
	s.Admin.InternalAddress = []string{serve(t, authority, identity.Admin)}
	s.Vault.Address = []string{serve(t, authority, identity.Vault)}
	s.Scheduler.Address = []string{serve(t, authority, identity.Scheduler)}
	s.Mail.Stores = make(map[string]settings.Store)
	for mode, protection := range map[string]imaptest.Protection{settings.TLSNone: imaptest.Plain, settings.TLSStart: imaptest.StartTLS, "": imaptest.TLS} {
		mail, err := imaptest.NewServer(imaptest.Options{Protection: protection})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = mail.Close() })
		ca := filepath.Join(dir, fmt.Sprintf("ca%d.pem", protection))
		writeFile(t, ca, mail.CA())
		s.Mail.Stores["store"+mode] = settings.Store{Address: mail.Addr(), TLS: mode, CAFile: ca}
	}
	return s
}

func look(t *testing.T, probes []online.Probe) (string, error) {
	t.Helper()
	var said bytes.Buffer
	err := online.Look(t.Context(), &said, probes)
	return said.String(), err
}

func TestAllThatIsThereIsReached(t *testing.T) {
	t.Parallel()
	s := world(t)
	said, err := look(t, append(workerwire.Probes(s), adminwire.Probes(s)...))
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	for _, want := range []string{
		"etcd at " + s.Cluster.Etcd.Endpoints[0] + ", version 3.", "the registry's database\n",
		"admin-api at " + s.Admin.InternalAddress[0], "credential-vault at", "scheduler at", "mail store storenone at", "mail store storestarttls at", "mail store store at",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}

func TestWhatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	s := world(t)
	away := nowhere(t)
	stranger, err := identity.OpenAuthority(t.TempDir(), s.Cluster.Name)
	if err != nil {
		t.Fatal(err)
	}
	scheduler := s.Scheduler.Address[0]
	s.Cluster.Etcd.Endpoints = []string{"http://" + away}
	s.Admin.Database = secret.New("postgres://u:very-secret@" + away + "/registry")
	s.Vault.Address = []string{serve(t, stranger, identity.Vault), scheduler}
	store := s.Mail.Stores["store"]
	store.CAFile = ""
	s.Mail.Stores = map[string]settings.Store{"untrusted": store, "away": {Address: away}}
	said, err := look(t, append(workerwire.Probes(s), adminwire.Probes(s)...))
	if err == nil {
		t.Error("all is reached")
	}
	for _, want := range []string{
		"NOT reached    etcd at http://" + away + ": reaching etcd at", "refused",
		"NOT reached    the registry's database: connecting to PostgreSQL at " + away,
		"NOT reached    credential-vault at " + s.Vault.Address[0] + ": ", "signed by unknown authority",
		"NOT reached    credential-vault at " + scheduler + ": expected the service credential-vault, reached scheduler",
		"NOT reached    mail store untrusted at", "NOT reached    mail store away at " + away,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	if strings.Contains(said, "very-secret") {
		t.Error("it shows a password")
	}
}

// Whether a service takes this side's certificate shows only after the handshake.
func TestACertificateThatIsRefusedIsNotReached(t *testing.T) {
	t.Parallel()
	s := world(t)
	stranger, err := identity.OpenAuthority(t.TempDir(), s.Cluster.Name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := stranger.Write(identity.Worker, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// It trusts the cluster's authority and its own, and the cluster trusts only the one.
	both := append(readFile(t, files.CA), readFile(t, filepath.Join(s.Identity.Dir, "ca.crt"))...)
	writeFile(t, files.CA, both)
	s.Identity.Dir = filepath.Dir(files.Cert)
	said, err := look(t, online.Peers(s, identity.Worker, identity.Admin))
	if err == nil || !strings.Contains(said, "it refuses this certificate") {
		t.Errorf("%v\n%s", err, said)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
