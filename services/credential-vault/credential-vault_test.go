// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	"mailpush.internal/pkg/sqldb"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	login      = "alice.liddell@example.org"
	password   = "curiouser-and-curiouser"
	passphrase = "down the rabbit hole"
)

// logbook is a log that may be read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is a vault that serves, and what a test can see of it.
type running struct {
	service *Service
	log     *logbook
	metrics *prometheus.Registry
	call    func(as string) vaultv1connect.VaultServiceClient
	stop    func()
}

// build makes a vault with its own authority, and returns how to be one of its services.
func build(t *testing.T, config *Config, log *slog.Logger, metrics *prometheus.Registry) (*Service, func(name string) *identity.Identity, error) {
	t.Helper()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) *identity.Identity {
		id, err := authority.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if config.Listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	service, err := New(*config, service.Runtime{Log: log, Metrics: metrics, Identity: issue(identity.Vault)})
	if err != nil {
		_ = config.Listener.Close()
	}
	return service, issue, err
}

// refusal is why a vault ends that is not to start.
func refusal(t *testing.T, config Config) error {
	t.Helper()
	s, _, err := build(t, &config, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it runs"))
	defer cancel()
	if err := s.Run(ctx); err != nil {
		return err
	}
	return context.Cause(ctx) // nil would be a refusal without a word
}

// launch runs a vault until the test ends, or stop is called. It is not ready yet.
func launch(t *testing.T, config Config) *running {
	t.Helper()
	r := &running{log: new(logbook), metrics: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, issue, err := build(t, &config, log, r.metrics)
	if err != nil {
		t.Fatal(err)
	}
	r.service = s
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.service.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	r.call = func(as string) vaultv1connect.VaultServiceClient {
		client := rpc.Client(issue(as), identity.Vault, []string{config.Listener.Addr().String()})
		t.Cleanup(client.CloseIdleConnections)
		return vaultv1connect.NewVaultServiceClient(client, rpc.BaseURL)
	}
	return r
}

// start is launch of a vault that is soon ready.
func start(t *testing.T, config Config) *running {
	t.Helper()
	r := launch(t, config)
	r.awaitReady(t)
	return r
}

func (r *running) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := proctest.Await(ctx, "readiness", r.service.Ready); err != nil {
		t.Fatalf("%v\n%s", err, r.log)
	}
}

func onDisk(dir string) Config {
	return Config{
		Passphrase:     secret.New(passphrase),
		StorePasswords: true,
		Database:       secret.New("sqlite://" + filepath.Join(dir, "vault.db")),
	}
}

func user() *mailv1.User { return &mailv1.User{ContextId: "1", UserId: "249"} }

func sealPassword(t *testing.T, r *running) uint64 {
	t.Helper()
	answer, err := trySeal(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Msg.GetVersion()
}

func trySeal(t *testing.T, r *running) (*connect.Response[vaultv1.SealResponse], error) {
	t.Helper()
	return r.call(identity.Admin).Seal(t.Context(), connect.NewRequest(&vaultv1.SealRequest{
		User: user(), Account: "mail",
		Credential: &vaultv1.Credential{Kind: &vaultv1.Credential_Password{
			Password: &vaultv1.Password{Login: login, Password: password},
		}},
	}))
}

func open(t *testing.T, r *running, u *mailv1.User) (*vaultv1.OpenResponse, error) {
	t.Helper()
	answer, err := r.call(identity.Worker).Open(t.Context(), connect.NewRequest(&vaultv1.OpenRequest{
		User: u, Account: "mail", Reason: "starting a listener",
	}))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

func TestNoClearTextAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, onDisk(dir))
	sealPassword(t, r)
	opened, err := open(t, r, user())
	if err != nil || opened.GetLogin().GetPassword() != password || opened.GetLogin().GetUsername() != login {
		t.Fatalf("it does not open: %v", err)
	}
	if _, err := open(t, r, &mailv1.User{ContextId: "1", UserId: "nobody"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("got %v", err)
	}

	seen := map[string]string{"the log": r.log.String(), "the metrics": gather(t, r)}
	for _, name := range []string{"vault.db", "vault.db-wal"} { // while it runs: what is new is in the WAL
		seen[name] = read(t, filepath.Join(dir, name))
	}
	r.stop()
	seen["vault.db after the end"] = read(t, filepath.Join(dir, "vault.db"))
	for where, text := range seen {
		for _, hidden := range []string{login, password, passphrase} {
			for _, form := range []string{hidden, base64.StdEncoding.EncodeToString([]byte(hidden)), url.QueryEscape(hidden), hidden[:9]} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows %q", where, form)
				}
			}
		}
	}
	// The search must be able to find: what is no secret is there.
	for where, want := range map[string]string{
		"the log": "credential sealed", "the metrics": "mailpush_vault_calls_total", "vault.db after the end": "starting a listener",
	} {
		if !strings.Contains(seen[where], want) {
			t.Errorf("%s does not show %q", where, want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// gather is what a Prometheus server would get.
func gather(t *testing.T, r *running) string {
	t.Helper()
	answer := httptest.NewRecorder()
	ops := service.OpsHandler(service.Runtime{Metrics: r.metrics}, r.service.Ready, vaultv1connect.VaultServiceName)
	ops.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return answer.Body.String()
}

func TestCredentialSurvivesARestartWithItsPassphraseOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, onDisk(dir))
	version := sealPassword(t, first)
	first.stop()

	wrong := onDisk(dir)
	wrong.Passphrase = secret.New("through the looking-glass")
	err := refusal(t, wrong)
	if fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "push.credstorage.passcrypt") {
		t.Errorf("a wrong passphrase: %v", err)
	}

	second := start(t, onDisk(dir))
	opened, err := open(t, second, user())
	if err != nil || opened.GetVersion() != version || opened.GetLogin().GetPassword() != password {
		t.Errorf("after a restart: version %d, %v", opened.GetVersion(), err)
	}
	if err := second.service.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStolenRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	config := onDisk(t.TempDir())
	r := start(t, config)
	sealPassword(t, r)
	db, err := sqldb.Open(t.Context(), config.Database, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Exec("INSERT INTO vault_credentials (context_id, user_id, account, key_id, box, version, sealed_at) " +
		"SELECT context_id, '666', account, key_id, box, version, sealed_at FROM vault_credentials").Error
	if err := errors.Join(err, sqldb.Close(db)); err != nil {
		t.Fatal(err)
	}
	thief := &mailv1.User{ContextId: "1", UserId: "666"}
	if got, err := open(t, r, thief); connect.CodeOf(err) != connect.CodeDataLoss {
		t.Errorf("got %v, %v", got, err)
	}
}

func sealKey(account string) *vaultv1.SealRequest {
	return &vaultv1.SealRequest{
		User: user(), Account: account,
		Credential: &vaultv1.Credential{Kind: &vaultv1.Credential_SigningSecret{
			SigningSecret: &vaultv1.SigningSecret{Secret: "whsec_c2VjcmV0"},
		}},
	}
}

func TestCallsAreOpenToThoseWhoNeedThem(t *testing.T) {
	t.Parallel()
	r := start(t, Config{InMemory: true, StorePasswords: true}) // no passphrase: a random one
	sealPassword(t, r)
	calls := map[string]struct {
		only string
		call func(c vaultv1connect.VaultServiceClient) error
	}{
		"Open": {identity.Worker, func(c vaultv1connect.VaultServiceClient) error {
			_, err := c.Open(t.Context(), connect.NewRequest(&vaultv1.OpenRequest{User: user(), Account: "mail", Reason: "test"}))
			return err
		}},
		"Seal": {identity.Admin, func(c vaultv1connect.VaultServiceClient) error {
			_, err := c.Seal(t.Context(), connect.NewRequest(sealKey("webhook/1")))
			return err
		}},
		"SealMany": {identity.Admin, func(c vaultv1connect.VaultServiceClient) error {
			seals := []*vaultv1.SealRequest{sealKey("webhook/2"), sealKey("webhook/3")}
			answer, err := c.SealMany(t.Context(), connect.NewRequest(&vaultv1.SealManyRequest{Seals: seals}))
			if err == nil && len(answer.Msg.GetVersions()) != len(seals) {
				err = errors.New("a version is missing")
			}
			return err
		}},
		"GetVersion": {identity.Admin, func(c vaultv1connect.VaultServiceClient) error {
			answer, err := c.GetVersion(t.Context(), connect.NewRequest(&vaultv1.GetVersionRequest{User: user(), Account: "mail"}))
			if err == nil && answer.Msg.GetVersion() == 0 {
				err = errors.New("the login is not found")
			}
			return err
		}},
		"Delete": {identity.Admin, func(c vaultv1connect.VaultServiceClient) error {
			_, err := c.Delete(t.Context(), connect.NewRequest(&vaultv1.DeleteRequest{User: user(), Account: "other"}))
			return err
		}},
	}
	for name, tt := range calls {
		for _, caller := range identity.Services() {
			err := tt.call(r.call(caller))
			if caller == tt.only && err != nil {
				t.Errorf("%s by %s: %v", name, caller, err)
			}
			if caller != tt.only && connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s by %s: got %v", name, caller, err)
			}
		}
	}
	if text := gather(t, r); !strings.Contains(text, `mailpush_vault_calls_total{procedure="Open",result="permission_denied"} 3`) {
		t.Errorf("refusals are not counted:\n%s", text)
	}
	if !strings.Contains(r.log.String(), "credential asked for") {
		t.Error("in memory, the log is the audit")
	}
}

func TestBadConfigurationDoesNotStart(t *testing.T) {
	t.Parallel()
	database := secret.New("sqlite://" + filepath.Join(t.TempDir(), "vault.db"))
	tests := map[string]struct {
		config Config
		want   string
	}{
		"no passphrase":      {Config{Database: database}, "push.credstorage.passcrypt"},
		"a short passphrase": {Config{Passphrase: secret.New("fifteen letters"), Database: database}, "push.credstorage.passcrypt: the passphrase is too short"},
		"a short one kept in memory": {
			Config{Passphrase: secret.New("fifteen letters"), InMemory: true},
			"set push.credstorage.allowShortPasscrypt to true",
		},
		"characters and not bytes": {Config{Passphrase: secret.New("fünfzehn Zeichè"), Database: database}, "push.credstorage.passcrypt"},
		"no database":              {Config{Passphrase: secret.New(passphrase)}, "push.credstorage.rdb"},
		"no master password":       {Config{InMemory: true, MasterUser: "master"}, "mail.passwordSource"},
		"no such directory": {
			Config{Passphrase: secret.New(passphrase), Database: secret.New("sqlite:///nowhere/vault.db")},
			"no such file or directory",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refusal(t, tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to name %q", err, tt.want)
			}
			if word := tt.config.Passphrase.Reveal(); word != "" && strings.Contains(fmt.Sprint(err), word) {
				t.Errorf("it shows the passphrase: %v", err)
			}
		})
	}
}

// Whoever has credentials under a short passphrase goes on with it when told to, and only then.
func TestShortPassphraseIsKeptWhenAllowed(t *testing.T) {
	t.Parallel()
	config := Config{
		Passphrase: secret.New("short"), AllowShort: true, StorePasswords: true,
		Database: secret.New("sqlite://" + filepath.Join(t.TempDir(), "vault.db")),
	}
	r := start(t, config)
	sealPassword(t, r)
	config.AllowShort = false
	if _, err := r.service.Reconfigure(config); fault.KindOf(err) != fault.Precondition {
		t.Errorf("read again without the permission: %v", err)
	}
	r.stop()
	if err := refusal(t, config); fault.KindOf(err) != fault.Precondition {
		t.Errorf("started without the permission: %v", err)
	}
}

func TestPasswordIsRefusedWhenStorageIsOff(t *testing.T) {
	t.Parallel()
	r := start(t, Config{InMemory: true})
	_, err := r.call(identity.Admin).Seal(t.Context(), connect.NewRequest(&vaultv1.SealRequest{
		User: user(), Account: "mail",
		Credential: &vaultv1.Credential{Kind: &vaultv1.Credential_Password{
			Password: &vaultv1.Password{Login: login, Password: password},
		}},
	}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "push.credstorage.enabled") {
		t.Errorf("got %v", err)
	}
}

func TestRequestsAreValidated(t *testing.T) {
	t.Parallel()
	r := start(t, Config{InMemory: true})
	_, err := open(t, r, &mailv1.User{ContextId: "1", UserId: "../etc"})
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "user.userId") {
		t.Errorf("got %v", err)
	}
}
