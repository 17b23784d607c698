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
	StorePasswords bool          // push.credstorage.enabled
	InMemory       bool          // push.credstorage.rdb is false: gone when the process ends
	Database       secret.String // the address for sqldb.Open, unless InMemory
	MasterUser     string        // empty unless mail.passwordSource is global
	MasterPassword secret.String // of MasterUser
}

// Service is a vault that is unlocked and about to serve.
type Service struct {
	config Config
	rt     service.Runtime
	store  keeper
	vault  *credential.Vault
	meter  connect.Interceptor
}

// keeper is what both stores are.
type keeper interface {
	credential.Keys
	credential.Records
	credential.Audit
	Ping(ctx context.Context) error
	Close() error
}

// New opens the store and unlocks its keys; it takes about a third of a second, which is
// what a guess at the passphrase costs. Run must follow, or the store stays open.
func New(config Config, rt service.Runtime) (*Service, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	meter, err := meter(rt.Metrics)
	if err != nil {
		return nil, err
	}
	ctx := context.Background() // each step bounds itself
	kept, err := config.open(ctx, rt)
	if err != nil {
		return nil, err
	}
	passphrase := config.Passphrase
	if passphrase.IsZero() {
		passphrase = secret.New(rand.Text()) // what it protects ends with the process
	}
	ring, err := credential.Unlock(ctx, kept, passphrase, seal.DefaultCost())
	if err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	vault := credential.New(ring, kept, kept, config.rules(), rt.Log)
	return &Service{config: config, rt: rt, store: kept, vault: vault, meter: meter}, nil
}

// Reconfigure judges a configuration that was read again, and returns what has it taken:
// whether passwords are stored, and the master user. The passphrase, the store and the
// listener stay what New was told.
func (s *Service) Reconfigure(config Config) (take func(), err error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	return func() { s.vault.GoBy(config.rules()) }, nil
}

func (c Config) rules() credential.Rules {
	return credential.Rules{
		StorePasswords: c.StorePasswords,
		MasterUser:     c.MasterUser,
		MasterPassword: c.MasterPassword,
	}
}

func (c Config) check() error {
	switch {
	case !c.InMemory && c.Passphrase.IsZero():
		return fault.New(fault.Precondition, "push.credstorage.passcrypt: a passphrase is needed to store "+
			"credentials in a database; give it as a file or in the environment")
	case !c.InMemory && c.Database.IsZero():
		return fault.New(fault.Precondition, "push.credstorage.rdb is true, but no database is configured")
	case c.MasterUser != "" && c.MasterPassword.IsZero():
		return fault.New(fault.Precondition, "mail.passwordSource is global, but the master user %q has no password", c.MasterUser)
	}
	return nil
}

func (c Config) open(ctx context.Context, rt service.Runtime) (keeper, error) {
	if c.InMemory {
		return store.NewMemory(rt.Log), nil
	}
	return store.OpenSQL(ctx, c.Database, rt.Log)
}

// Run serves until ctx ends, finishes running calls and closes the store. The vault ends
// after the last call, for nothing opens without it.
func (s *Service) Run(ctx context.Context) error {
	beyond, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	err := service.Group(ctx,
		func(context.Context) error { return s.vault.Run(beyond) },
		func(ctx context.Context) error {
			defer stop()
			return service.Serve(ctx, s.rt.Log, "vault rpc", s.config.Listener, s.rt.Identity.ServerTLS(), s.handler())
		})
	return errors.Join(err, s.store.Close())
}

// Ready tells whether the vault can serve: it has its keys, so what counts is the store.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return fmt.Errorf("reaching the credential store: %w", err)
	}
	return nil
}

func (s *Service) handler() http.Handler {
	options := rpc.HandlerOptions(s.rt.Log, rpc.MaxInternalBytes, s.meter, identity.Allow(callers()))
	mux := http.NewServeMux()
	mux.Handle(vaultv1connect.NewVaultServiceHandler(handler.New(s.vault), options...))
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
