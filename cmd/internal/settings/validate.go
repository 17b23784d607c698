// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"mailpush.internal/pkg/identity"
)

// The values settings may take where they are words.
const (
	PasswordSession = "session"
	PasswordGlobal  = "global"
	TLSImplicit     = "implicit"
	TLSStart        = "starttls"
	TLSNone         = "none"
)

const (
	minLease = 2 * time.Second
	// maxIdle is where servers may log an idle client out (RFC 2177).
	maxIdle   = 29 * time.Minute
	maxShards = 1 << 16
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)

// problems collects what is wrong, each with its key and where that was given.
type problems struct {
	settings *Settings
	errs     []error
}

// add adds a problem, once: what several services need is looked at for each.
func (p *problems) add(key, format string, args ...any) {
	err := p.settings.Where(key, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	if !slices.ContainsFunc(p.errs, func(known error) bool { return known.Error() == err.Error() }) {
		p.errs = append(p.errs, err)
	}
}

// Validate tells everything that keeps the named services from being built, but for
// what the service alone can judge, such as the hashes of admin-api's callers. It
// opens no file and no connection.
func (s *Settings) Validate(services ...string) error {
	p := &problems{settings: s}
	s.validateCluster(p)
	s.validateFiles(p)
	for _, service := range services {
		switch service {
		case identity.Admin:
			s.validateAdmin(p)
			s.validateMail(p)
			s.validateOrigins(p)
			s.validateClients(p)
			s.validateWebhook(p)
		case identity.Vault:
			s.validateVault(p)
		case identity.Scheduler:
			p.address("scheduler.listen", s.Scheduler.Listen)
			p.address("scheduler.opsListen", s.Scheduler.OpsListen)
			p.targets("scheduler.address", s.Scheduler.Address)
		case identity.Worker:
			s.validateWorker(p)
			s.validateWebhook(p)
		}
	}
	if slices.Contains(services, identity.Admin) && slices.Contains(services, identity.Worker) {
		s.validateTogether(p)
	}
	return errors.Join(p.errs...)
}

func (s *Settings) validateCluster(p *problems) {
	if !namePattern.MatchString(s.Cluster.Name) {
		p.add("cluster.name", "%q: want lower-case letters, digits, dots and hyphens, at most 63", s.Cluster.Name)
	}
	if len(s.Cluster.Etcd.Endpoints) == 0 {
		p.add("cluster.etcd.endpoints", "want at least one, like http://127.0.0.1:2379")
	}
	for i, endpoint := range s.Cluster.Etcd.Endpoints {
		p.url(item("cluster.etcd.endpoints", i), endpoint, "http://host:port or https://host:port",
			func(u *url.URL) bool { return isWeb(u) || u.Scheme == "unix" })
	}
	p.targets("admin.internalAddress", s.Admin.InternalAddress)
	p.targets("vault.address", s.Vault.Address)
	if s.Cluster.Etcd.Prefix == "" {
		p.add("cluster.etcd.prefix", "must not be empty: mailpush writes below it only")
	}
	p.either("cluster.etcd.password", !s.Cluster.Etcd.Password.IsZero(), s.Cluster.Etcd.PasswordFile)
	if (s.Cluster.Etcd.CertFile == "") != (s.Cluster.Etcd.KeyFile == "") {
		p.add("cluster.etcd.certFile", "certFile and keyFile go together")
	}
	if n := s.Cluster.Shards; n == 0 || n > maxShards || bits.OnesCount32(n) != 1 {
		p.add("cluster.shards", "%d: want a power of two up to %d", n, maxShards)
	}
	if s.Cluster.LeaseTTL < minLease {
		p.add("cluster.leaseTTL", "%s: want at least %s, etcd's floor", s.Cluster.LeaseTTL, minLease)
	}
	if s.Identity.Dir == "" {
		p.add("identity.dir", "must name the directory with the services' certificates")
	}
	var level slog.Level
	if level.UnmarshalText([]byte(s.Log.Level)) != nil {
		p.add("log.level", "%q: want debug, info, warn or error", s.Log.Level)
	}
	if s.Log.Format != "json" && s.Log.Format != "text" {
		p.add("log.format", "%q: want json or text", s.Log.Format)
	}
}

func (s *Settings) validateAdmin(p *problems) {
	a := s.Admin
	p.address("admin.listen", a.Listen)
	p.address("admin.internalListen", a.InternalListen)
	p.address("admin.opsListen", a.OpsListen)
	if (a.TLS.CertFile == "") != (a.TLS.KeyFile == "") {
		p.add("admin.tls", "certFile and keyFile go together")
	}
	if host, _, err := net.SplitHostPort(a.Listen); err == nil && a.TLS.CertFile == "" && !isLoopback(host) {
		p.add("admin.tls", "is needed: admin.listen %q is not on loopback, and passwords must not cross a network in clear", a.Listen)
	}
	if len(a.Administrators) == 0 {
		p.add("admin.administrators", "want at least one {name, passwordHash}; mailpush hash-password makes the hash")
	}
	known := make(map[string]bool, len(a.Administrators))
	for i, account := range a.Administrators {
		switch key := fmt.Sprintf("admin.administrators[%d]", i); {
		case account.Name == "":
			p.add(key, "want a name")
		case known[account.Name]:
			p.add(key, "the name %q is given twice", account.Name)
		}
		known[account.Name] = true
	}
	for i, app := range a.Applications {
		if key := item("admin.applications", i); app.Name == "" || len(app.Contexts) == 0 || slices.Contains(app.Contexts, "") {
			p.add(key, "want a name and at least one context, and none that is empty")
		}
	}
}

func (s *Settings) validateMail(p *problems) {
	s.validatePasswordSource(p)
	if len(s.Mail.Stores) == 0 {
		p.add("mail.stores", "want at least one mail store")
	}
	for name, store := range s.Mail.Stores {
		key := "mail.stores." + name
		if !namePattern.MatchString(name) {
			p.add(key, "want a name of lower-case letters, digits, dots and hyphens")
		}
		if store.Address != "" || store.Doveadm.URL == "" {
			p.target(key+".address", store.Address)
		}
		if store.ServerName != "" && !isHost(store.ServerName) {
			p.add(key+".serverName", "%q: want the name in the server's certificate", store.ServerName)
		}
		if !slices.Contains([]string{"", TLSImplicit, TLSStart, TLSNone}, store.TLS) {
			p.add(key+".tls", "%q: want implicit, starttls or none", store.TLS)
		}
		p.backend(key+".backend", store.BackendOrDefault())
		if store.IdleRefresh < 0 || store.IdleRefresh >= maxIdle {
			p.add(key+".idleRefresh", "%s: want less than %s (RFC 2177)", store.IdleRefresh, maxIdle)
		}
		p.notNegative(key+".pollInterval", store.PollInterval)
		p.notNegative(key+".responseTimeout", store.ResponseTimeout)
		s.validateMasterLogin(p, key+".masterLogin", store)
		store.validateDoveadm(p, key)
	}
}

func (s *Settings) validatePasswordSource(p *problems) {
	m := s.Mail
	p.either("mail.masterPassword", !m.MasterPassword.IsZero(), m.MasterPasswordFile)
	switch m.PasswordSource {
	case PasswordSession:
	case PasswordGlobal:
		if m.MasterUser == "" || m.MasterPassword.IsZero() && m.MasterPasswordFile == "" {
			p.add("mail.passwordSource", "global needs mail.masterUser and mail.masterPasswordFile")
		}
	default:
		p.add("mail.passwordSource", "%q: want session or global", m.PasswordSource)
	}
}

func (s *Settings) validateVault(p *problems) {
	p.address("vault.listen", s.Vault.Listen)
	p.address("vault.opsListen", s.Vault.OpsListen)
	s.validatePasswordSource(p)
	c := s.Push.CredStorage
	p.either("push.credstorage.passcrypt", !c.Passcrypt.IsZero(), c.PasscryptFile)
	if c.RDB && c.Passcrypt.IsZero() && c.PasscryptFile == "" {
		p.add("push.credstorage.passcrypt", "is needed when push.credstorage.rdb is true: nothing is stored without being sealed")
	}
}

func (s *Settings) validateWorker(p *problems) {
	p.address("worker.listen", s.Worker.Listen)
	p.address("worker.opsListen", s.Worker.OpsListen)
	if s.Worker.Advertise != "" {
		p.target("worker.advertise", s.Worker.Advertise)
	}
	if host, _, err := net.SplitHostPort(s.WorkerAdvertise()); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			p.add("worker.advertise", "is needed: others cannot reach this worker at %q", s.Worker.Listen)
		}
	}
	if len(s.Worker.Backends) == 0 {
		p.add("worker.backends", "want at least one: %s", strings.Join(Backends(), ", "))
	}
	for i, backend := range s.Worker.Backends {
		p.backend(item("worker.backends", i), backend)
	}
	for name, store := range s.Mail.Stores {
		store.validateDoveadm(p, "mail.stores."+name)
	}
	s.validateNotify(p)
	s.validateMailNotify(p)
}

// validateTogether is for admin-api and the one worker in one process.
func (s *Settings) validateTogether(p *problems) {
	for name, store := range s.Mail.Stores {
		backend := store.BackendOrDefault()
		if slices.Contains(Backends(), backend) && !slices.Contains(s.Worker.Backends, backend) {
			p.add("mail.stores."+name+".backend", "%q: the worker has it not: name it in worker.backends", backend)
		}
	}
}

// validateWebhook refuses limits that do not say what they mean.
func (s *Settings) validateWebhook(p *problems) {
	p.prefixes("push.webhook.allowPrivate", s.Push.Webhook.AllowPrivate)
	if i := slices.Index(s.Push.Webhook.AllowPorts, 0); i >= 0 {
		p.add(item("push.webhook.allowPorts", i), "want a port from 1 to 65535")
	}
}

func (p *problems) notNegative(key string, d time.Duration) {
	if d < 0 {
		p.add(key, "%s: must not be negative", d)
	}
}

// either refuses a secret that is given both in place and as a file.
func (p *problems) either(key string, inline bool, file string) {
	if inline && file != "" {
		p.add(key, "is given in place and as %sFile; want one", key)
	}
}
