// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"os"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/scheduler/v1/schedulerv1connect"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
	vaultservice "mailpush.internal/services/credential-vault"
	workerservice "mailpush.internal/services/listener-worker"
	schedulerservice "mailpush.internal/services/scheduler"
)

func vault(ctx context.Context, s *settings.Settings, rt service.Runtime, bound *listeners) (Built, error) {
	built := Built{RPC: []string{vaultv1connect.VaultServiceName}}
	passphrase, err := settings.Secret(s.Push.CredStorage.Passcrypt, s.Push.CredStorage.PasscryptFile)
	if err != nil {
		return built, fmt.Errorf("push.credstorage.passcryptFile: %w", err)
	}
	master, err := settings.Secret(s.Mail.MasterPassword, s.Mail.MasterPasswordFile)
	if err != nil {
		return built, fmt.Errorf("mail.masterPasswordFile: %w", err)
	}
	database, err := settings.Secret(s.Vault.Database, s.Vault.DatabaseFile)
	if err != nil {
		return built, fmt.Errorf("vault.databaseFile: %w", err)
	}
	config := vaultservice.Config{
		Passphrase:     passphrase,
		StorePasswords: s.Push.CredStorage.Enabled,
		InMemory:       !s.Push.CredStorage.RDB,
		Database:       database,
	}
	if s.Mail.PasswordSource == settings.PasswordGlobal {
		config.MasterUser, config.MasterPassword = s.Mail.MasterUser, master
	}
	if config.Listener, err = bound.bind(ctx, "vault.listen", s.Vault.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = bound.bind(ctx, "vault.opsListen", s.Vault.OpsListen); err != nil {
		return built, err
	}
	built.Service, err = vaultservice.New(config, rt)
	return built, err
}

func scheduler(ctx context.Context, s *settings.Settings, rt service.Runtime, bound *listeners) (Built, error) {
	built := Built{RPC: []string{schedulerv1connect.SchedulerServiceName}}
	etcd, err := clusterConfig(s)
	if err != nil {
		return built, err
	}
	config := schedulerservice.Config{Name: s.Scheduler.Name, Cluster: etcd, RegistryAddrs: s.AdminAddresses()}
	if config.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return built, fmt.Errorf("naming this replica (set scheduler.name): %w", err)
		}
		config.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if config.Listener, err = bound.bind(ctx, "scheduler.listen", s.Scheduler.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = bound.bind(ctx, "scheduler.opsListen", s.Scheduler.OpsListen); err != nil {
		return built, err
	}
	built.Service, err = schedulerservice.New(config, rt)
	return built, err
}

func worker(ctx context.Context, s *settings.Settings, rt service.Runtime, bound *listeners) (Built, error) {
	built := Built{RPC: []string{workerv1connect.WorkerServiceName}}
	etcd, err := clusterConfig(s)
	if err != nil {
		return built, err
	}
	config := workerservice.Config{
		Advertise:         s.WorkerAdvertise(),
		Cluster:           etcd,
		RegistryAddrs:     s.AdminAddresses(),
		VaultAddrs:        s.VaultAddresses(),
		Backends:          s.Worker.Backends,
		Capacity:          s.Worker.Capacity,
		Zone:              s.Worker.Zone,
		Instance:          s.Cluster.Name,
		AllowHTTPWebhooks: s.Push.Webhook.AllowHTTP,
	}
	if config.Listener, err = bound.bind(ctx, "worker.listen", s.Worker.Listen); err != nil {
		return built, err
	}
	if built.Ops, err = bound.bind(ctx, "worker.opsListen", s.Worker.OpsListen); err != nil {
		return built, err
	}
	built.Service, err = workerservice.New(config, rt)
	return built, err
}
