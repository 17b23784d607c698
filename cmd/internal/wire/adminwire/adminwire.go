// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package adminwire builds admin-api from the settings.
package adminwire

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"mailpush.internal/cmd/internal/online"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	adminapi "mailpush.internal/services/admin-api"
)

// What a mail store's timing and pace are where the settings are silent.
const (
	defaultIdleRefresh       = 28 * time.Minute
	defaultPollInterval      = time.Minute
	defaultResponseTimeout   = 30 * time.Second
	defaultConnectsPerSecond = 1000
	defaultConnectsAtOnce    = 256

	defaultReconcilePerSecond = 25
	defaultDoveadmAtOnce      = 2
	defaultDoveadmTimeout     = 10 * time.Second
)

// Build implements [wire.Builder] for admin-api.
func Build(ctx context.Context, s *settings.Settings, rt service.Runtime, addresses *wire.Addresses) (wire.Built, error) {
	built := wire.Built{
		RPC: []string{adminv1connect.AdminServiceName, pushv1connect.PushServiceName, registryv1connect.RegistryServiceName},
	}
	config, err := adminConfig(s)
	if err != nil {
		return built, err
	}
	if config.Public, err = addresses.Bind(ctx, "admin.listen", s.Admin.Listen); err != nil {
		return built, err
	}
	if config.Internal, err = addresses.Bind(ctx, "admin.internalListen", s.Admin.InternalListen); err != nil {
		return built, err
	}
	if built.Ops, err = addresses.Bind(ctx, "admin.opsListen", s.Admin.OpsListen); err != nil {
		return built, err
	}
	made, err := adminapi.New(config, rt)
	if err != nil {
		return built, err
	}
	built.Service = made
	built.Reload = func(s *settings.Settings) (func(), error) {
		config, err := adminConfig(s)
		if err != nil {
			return nil, err
		}
		return made.Reconfigure(config)
	}
	return built, nil
}

// Check tells which callers in the settings admin-api would refuse to start with, by
// their keys. It shows no hash.
func Check(s *settings.Settings) error {
	var errs []error
	for i, a := range s.Admin.Administrators {
		if err := adminapi.CheckPasswordHash(a.PasswordHash); err != nil {
			key := fmt.Sprintf("admin.administrators[%d]", i)
			errs = append(errs, s.Where(key+".passwordHash", fmt.Errorf("%s: passwordHash: %w; mailpush hash-password makes one", key, err)))
		}
	}
	for i, a := range s.Admin.Applications {
		if err := adminapi.CheckTokenHash(a.TokenHash); err != nil {
			key := fmt.Sprintf("admin.applications[%d]", i)
			errs = append(errs, s.Where(key+".tokenHash", fmt.Errorf("%s: tokenHash: %w; mailpush new-token makes one", key, err)))
		}
	}
	return errors.Join(errs...)
}

// Warnings are of a database that admin-api speaks to in clear text.
func Warnings(s *settings.Settings) []string {
	host, remedy := sqldb.ClearText(settings.Glance(s.Admin.Database, s.Admin.DatabaseFile))
	return settings.ClearText("admin.database", host, remedy+" in its address")
}

// Probes are what admin-api needs to reach.
func Probes(s *settings.Settings) []online.Probe {
	probes := append(online.Etcd(s), online.Probe{What: "the registry's database", Try: func(ctx context.Context) (string, error) {
		database, err := settings.Secret(s.Admin.Database, s.Admin.DatabaseFile)
		if err != nil {
			return "", err
		}
		return "", sqldb.Reach(ctx, database)
	}})
	return append(probes, online.Peers(s, identity.Admin, identity.Vault, identity.Scheduler)...)
}

func adminConfig(s *settings.Settings) (adminapi.Config, error) {
	database, err := settings.Secret(s.Admin.Database, s.Admin.DatabaseFile)
	if err != nil {
		return adminapi.Config{}, fmt.Errorf("admin.databaseFile: %w", err)
	}
	etcd, err := wire.ClusterConfig(s)
	if err != nil {
		return adminapi.Config{}, err
	}
	stores, err := mailStores(s)
	if err != nil {
		return adminapi.Config{}, err
	}
	config := adminapi.Config{
		Database:             database,
		VaultAddrs:           s.VaultAddresses(),
		SchedulerAddrs:       s.SchedulerAddresses(),
		Cluster:              etcd,
		AllowPermanentPush:   s.Push.AllowPermanentPush,
		AllowedClients:       s.Push.AllowedClients,
		CredStorage:          s.Push.CredStorage.Enabled,
		PasswordSourceGlobal: s.Mail.PasswordSource == settings.PasswordGlobal,
		PermanentBackends:    s.PermanentBackends(),
		Stores:               stores,
		MasterLogins:         make(map[string]string, len(s.Mail.Stores)),
		AllowedOrigins:       s.Admin.AllowedOrigins,
		AllowHTTPWebhooks:    s.Push.Webhook.AllowHTTP,
	}
	for name, store := range s.Mail.Stores {
		config.MasterLogins[name] = store.MasterLoginOrDefault()
	}
	for _, a := range s.Admin.Administrators {
		config.Admins = append(config.Admins, adminapi.Admin{Name: a.Name, PasswordHash: a.PasswordHash})
	}
	for _, a := range s.Admin.Applications {
		config.Applications = append(config.Applications, adminapi.Application{Name: a.Name, TokenHash: a.TokenHash, Contexts: a.Contexts})
	}
	if s.Admin.TLS.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.Admin.TLS.CertFile, s.Admin.TLS.KeyFile)
		if err != nil {
			return adminapi.Config{}, fmt.Errorf("reading admin.tls: %w", err)
		}
		config.PublicTLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	return config, nil
}

func mailStores(s *settings.Settings) ([]*mailv1.MailStore, error) {
	stores := make([]*mailv1.MailStore, 0, len(s.Mail.Stores))
	for name, store := range s.Mail.Stores {
		out, err := mailStore(name, store)
		if err != nil {
			return nil, fmt.Errorf("mail.stores.%s: %w", name, err)
		}
		stores = append(stores, out)
	}
	slices.SortFunc(stores, func(a, b *mailv1.MailStore) int {
		if a.GetName() < b.GetName() {
			return -1
		}
		return 1
	})
	return stores, nil
}

func mailStore(name string, store settings.Store) (*mailv1.MailStore, error) {
	out := &mailv1.MailStore{
		Name:              name,
		Address:           store.Address,
		TlsMode:           tlsMode(store.TLS),
		ServerName:        store.ServerName,
		Backend:           store.BackendOrDefault(),
		IdleRefresh:       durationOr(store.IdleRefresh, defaultIdleRefresh),
		PollInterval:      durationOr(store.PollInterval, defaultPollInterval),
		ResponseTimeout:   durationOr(store.ResponseTimeout, defaultResponseTimeout),
		ConnectsPerSecond: cmp.Or(store.ConnectsPerSecond, defaultConnectsPerSecond),
		ConnectsAtOnce:    cmp.Or(store.ConnectsAtOnce, defaultConnectsAtOnce),

		ReconcilePerSecond: cmp.Or(store.ReconcilePerSecond, defaultReconcilePerSecond),
	}
	var err error
	if out.CaPem, err = readCA(store.CAFile); err != nil {
		return nil, fmt.Errorf("reading caFile: %w", err)
	}
	if d := store.Doveadm; d.URL != "" {
		out.Doveadm = &mailv1.Doveadm{
			Url: d.URL, Concurrency: cmp.Or(d.Concurrency, defaultDoveadmAtOnce),
			Timeout: durationOr(d.Timeout, defaultDoveadmTimeout), LoginRule: store.MasterLoginOrDefault(),
		}
		if out.Doveadm.CaPem, err = readCA(d.CAFile); err != nil {
			return nil, fmt.Errorf("reading doveadm.caFile: %w", err)
		}
	}
	return out, nil
}

// readCA reads a file of certificates; no file is none.
func readCA(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}

func tlsMode(word string) mailv1.TlsMode {
	switch word {
	case settings.TLSNone:
		return mailv1.TlsMode_TLS_MODE_PLAIN
	case settings.TLSStart:
		return mailv1.TlsMode_TLS_MODE_STARTTLS
	default:
		return mailv1.TlsMode_TLS_MODE_IMPLICIT
	}
}

func durationOr(d, otherwise time.Duration) *durationpb.Duration {
	if d == 0 {
		d = otherwise
	}
	return durationpb.New(d)
}
