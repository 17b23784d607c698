// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package vaultwire builds the credential-vault from the settings.
package vaultwire

import (
	"context"
	"fmt"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/service"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	vault "mailpush.internal/services/credential-vault"
)

// Warnings are of a database that the vault speaks to in clear text.
func Warnings(s *settings.Settings) []string {
	if !s.Push.CredStorage.RDB {
		return nil
	}
	host, remedy := sqldb.ClearText(settings.Glance(s.Vault.Database, s.Vault.DatabaseFile))
	return settings.ClearText("vault.database", host, remedy+" in its address")
}

// Probes are what the credential-vault needs to reach.
func Probes(s *settings.Settings) []online.Probe {
	if !s.Push.CredStorage.RDB {
		return nil
	}
	return []online.Probe{{What: "the vault's database", Try: func(ctx context.Context) (string, error) {
		database, err := settings.Secret(s.Vault.Database, s.Vault.DatabaseFile)
		if err != nil {
			return "", err
		}
		return "", sqldb.Reach(ctx, database)
	}}}
}

// Build implements [wire.Builder] for credential-vault.
func Build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	built := wire.Built{RPC: []string{vaultv1connect.VaultServiceName}}
	config, err := vaultConfig(s)
	if err != nil {
		return built, err
	}
	if config.Listener, err = addresses.Bind(ctx, "vault.listen", s.Vault.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = addresses.Bind(ctx, "vault.opsListen", s.Vault.OpsListen); err != nil {
		return built, err
	}
	made, err := vault.New(config, rt)
	if err != nil {
		return built, err
	}
	built.Service = made
	built.Reload = func(s *settings.Settings) (func(), error) {
		config, err := vaultConfig(s)
		if err != nil {
			return nil, err
		}
		return made.Reconfigure(config)
	}
	return built, nil
}

// Check tells whether the vault would refuse to start for its passphrase, which it shows
// nothing of.
func Check(s *settings.Settings) error {
	storage, key := s.Push.CredStorage, "push.credstorage.passcrypt"
	err := vault.CheckPassphrase(settings.Glance(storage.Passcrypt, storage.PasscryptFile), storage.AllowShort)
	if err == nil {
		return nil
	}
	if storage.PasscryptFile != "" {
		key += "File"
	}
	return s.Where(key, err)
}

// vaultConfig is all but the addresses.
func vaultConfig(s *settings.Settings) (vault.Config, error) {
	passphrase, err := settings.Secret(s.Push.CredStorage.Passcrypt, s.Push.CredStorage.PasscryptFile)
	if err != nil {
		return vault.Config{}, fmt.Errorf("push.credstorage.passcryptFile: %w", err)
	}
	master, err := settings.Secret(s.Mail.MasterPassword, s.Mail.MasterPasswordFile)
	if err != nil {
		return vault.Config{}, fmt.Errorf("mail.masterPasswordFile: %w", err)
	}
	database, err := settings.Secret(s.Vault.Database, s.Vault.DatabaseFile)
	if err != nil {
		return vault.Config{}, fmt.Errorf("vault.databaseFile: %w", err)
	}
	config := vault.Config{
		Passphrase:     passphrase,
		AllowShort:     s.Push.CredStorage.AllowShort,
		StorePasswords: s.Push.CredStorage.Enabled,
		InMemory:       !s.Push.CredStorage.RDB,
		Database:       database,
	}
	if s.Mail.PasswordSource == settings.PasswordGlobal {
		config.MasterUser, config.MasterPassword = s.Mail.MasterUser, master
	}
	return config, nil
}
