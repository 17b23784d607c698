// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package vault is the credential-vault service: the only process that holds key
// material. It seals and opens users' credentials behind RPC. Invariants: it starts only
// with the passphrase its stored keys were made with; each call is open only to the
// services that need it; no secret is stored, logged or counted in clear.
package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	"mailpush.internal/services/credential-vault/internal/credential"
	handler "mailpush.internal/services/credential-vault/internal/rpc"
	"mailpush.internal/services/credential-vault/internal/seal"
	"mailpush.internal/services/credential-vault/internal/store"
)

// Config is what an operator decides about the vault.
type Config struct {
	Listener       net.Listener  // where workers and admin-api call; Run owns it
	Passphrase     secret.String // push.credstorage.passcrypt; only with InMemory it may be empty
	AllowShort     bool          // push.credstorage.allowShortPasscrypt: a Passphrase that CheckPassphrase refuses
	StorePasswords bool          // push.credstorage.enabled
	InMemory       bool          // push.credstorage.rdb is false: gone when the process ends
	Database       secret.String // the address for sqldb.Open, unless InMemory
	MasterUser     string        // empty unless mail.passwordSource is global
	MasterPassword secret.String // of MasterUser
}

// Service is a vault.
type Service struct {
	config Config
	rt     service.Runtime
	meter  connect.Interceptor
	store  atomic.Pointer[keeper] // nil until Run has opened it

	mu    sync.Mutex
	rules credential.Rules  // the newest
	vault *credential.Vault // nil until Run has unlocked its keys; goes by rules
}

// keeper is what both stores are.
type keeper interface {
	credential.Keys
	credential.Records
	credential.Audit
	Ping(ctx context.Context) error
	Close() error
}

// New checks the configuration. It opens nothing: Run does.
func New(config Config, rt service.Runtime) (*Service, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	meter, err := meter(rt.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{config: config, rt: rt, meter: meter, rules: config.rules()}, nil
}

// Reconfigure judges a configuration that was read again, and returns what has it taken:
// whether passwords are stored, and the master user. The passphrase, the store and the
// listener stay what New was told.
func (s *Service) Reconfigure(config Config) (take func(), err error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	return func() { s.goBy(config.rules()) }, nil
}

// goBy has other rules hold from now on, also for a vault that is not unlocked yet.
func (s *Service) goBy(rules credential.Rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
	if s.vault != nil {
		s.vault.GoBy(rules)
	}
}

// begin makes the vault of unlocked keys.
func (s *Service) begin(ring *seal.Keyring, kept keeper) *credential.Vault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vault = credential.New(ring, kept, kept, s.rules, s.rt.Log)
	return s.vault
}

func (c Config) rules() credential.Rules {
	return credential.Rules{
		StorePasswords: c.StorePasswords,
		MasterUser:     c.MasterUser,
		MasterPassword: c.MasterPassword,
	}
}

func (c Config) check() error {
	short := CheckPassphrase(c.Passphrase, c.AllowShort)
	switch {
	case !c.InMemory && c.Passphrase.IsZero():
		return fault.New(fault.Precondition, "push.credstorage.passcrypt: a passphrase is needed to store "+
			"credentials in a database; give it as a file or in the environment")
	case short != nil:
		return short
	case !c.InMemory && c.Database.IsZero():
		return fault.New(fault.Precondition, "push.credstorage.rdb is true, but no database is configured")
	case c.MasterUser != "" && c.MasterPassword.IsZero():
		return fault.New(fault.Precondition, "mail.passwordSource is global, but the master user %q has no password", c.MasterUser)
	}
	return nil
}

// minPassphrase is how many characters a passphrase has at least. Argon2id makes a guess
// dear, but not dear enough for what can be guessed in a few million tries.
const minPassphrase = 16

// CheckPassphrase refuses a passphrase that is too short to keep anything, unless it may be
// short. Characters count, not bytes. None at all is not its to judge.
func CheckPassphrase(passphrase secret.String, allowShort bool) error {
	if passphrase.IsZero() || allowShort || utf8.RuneCountInString(passphrase.Reveal()) >= minPassphrase {
		return nil
	}
	return fault.New(fault.Precondition, "push.credstorage.passcrypt: the passphrase is too short, want at least %d "+
		"characters; where an earlier release has sealed credentials under it already, set "+
		"push.credstorage.allowShortPasscrypt to true", minPassphrase)
}

func (c Config) open(ctx context.Context, rt service.Runtime) (keeper, error) {
	if c.InMemory {
		return store.NewMemory(rt.Log), nil
	}
	return store.OpenSQL(ctx, c.Database, rt.Log)
}

// Run opens the store, unlocks its keys and serves until ctx ends. A database that is away
// is waited for, and calls are answered Unavailable meanwhile; a wrong passphrase is an
// error. At the end running calls are finished first, for nothing opens without the vault.
func (s *Service) Run(ctx context.Context) error {
	beyond, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	calls := rpc.NewLater("the credential store is not open yet")
	err := service.Group(ctx,
		func(ctx context.Context) error {
			defer stop()
			return service.Serve(ctx, s.rt.Log, "vault rpc", s.config.Listener, s.rt.Identity.ServerTLS(), calls)
		},
		func(ctx context.Context) error {
			kept, vault, err := s.unlock(ctx)
			if vault == nil {
				return err // or stopped before it began
			}
			calls.Set(s.handler(vault))
			s.store.Store(&kept)
			return vault.Run(beyond)
		})
	if kept := s.store.Load(); kept != nil {
		err = errors.Join(err, (*kept).Close())
	}
	return err
}

// unlock opens the store and unlocks its keys, which takes about a third of a second: what
// a guess at the passphrase costs. There is no vault when ctx has ended.
func (s *Service) unlock(ctx context.Context) (kept keeper, vault *credential.Vault, err error) {
	passphrase := s.config.Passphrase
	if passphrase.IsZero() {
		passphrase = secret.New(rand.Text()) // what it protects ends with the process
	}
	err = service.Await(ctx, s.rt.Log, "the vault waits for its database", func(ctx context.Context) error {
		opened, err := s.config.open(ctx, s.rt)
		if err != nil {
			return err
		}
		ring, err := credential.Unlock(ctx, opened, passphrase, seal.DefaultCost())
		if err != nil {
			return errors.Join(err, opened.Close())
		}
		kept, vault = opened, s.begin(ring, opened)
		return nil
	})
	return kept, vault, err
}

// Ready tells whether the vault can serve: it has its keys, so what counts is the store.
func (s *Service) Ready(ctx context.Context) error {
	kept := s.store.Load()
	if kept == nil {
		return fault.New(fault.Unavailable, "the credential store is not open yet; the log says why")
	}
	if err := (*kept).Ping(ctx); err != nil {
		return fmt.Errorf("reaching the credential store: %w", err)
	}
	return nil
}

func (s *Service) handler(vault *credential.Vault) http.Handler {
	options := rpc.HandlerOptions(s.rt.Log, rpc.MaxInternalBytes, s.meter, identity.Allow(callers()))
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(handler.New(vault), options...))
	return identity.Middleware(mux)
}

// callers are who may call what: whoever logs in opens, whoever registers seals, and
// neither does the other's.
func callers() map[string][]string {
	return map[string][]string{
		vaultv1connect.VaultServiceOpenProcedure:       {identity.Worker},
		vaultv1connect.VaultServiceSealProcedure:       {identity.Admin},
		vaultv1connect.VaultServiceSealManyProcedure:   {identity.Admin},
		vaultv1connect.VaultServiceGetVersionProcedure: {identity.Admin},
		vaultv1connect.VaultServiceDeleteProcedure:     {identity.Admin},
	}
}
