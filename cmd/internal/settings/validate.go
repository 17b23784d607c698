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

// problems collects what is wrong, each with its key.
type problems struct{ errs []error }

// add adds a problem, once: what several services need is looked at for each.
func (p *problems) add(key, format string, args ...any) {
	err := fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	if !slices.ContainsFunc(p.errs, func(known error) bool { return known.Error() == err.Error() }) {
		p.errs = append(p.errs, err)
	}
}

// Validate tells everything that keeps the named services from being built, but for
// what the service alone can judge, such as the hashes of admin-api's callers. It
// opens no file and no connection.
func (s *Settings) Validate(services ...string) error {
	p := new(problems)
	s.validateCluster(p)
	for _, service := range services {
		switch service {
		case identity.Admin:
			s.validateAdmin(p)
			s.validateMail(p)
		case identity.Vault:
			s.validateVault(p)
		case identity.Scheduler:
			p.address("scheduler.listen", s.Scheduler.Listen)
			p.address("scheduler.opsListen", s.Scheduler.OpsListen)
		case identity.Worker:
			s.validateWorker(p)
			s.validateWebhook(p)
		}
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
	for _, endpoint := range s.Cluster.Etcd.Endpoints {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" && u.Scheme != "unix" {
			p.add("cluster.etcd.endpoints", "%q: want http://host:port or https://host:port", endpoint)
		}
	}
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
		if app.Name == "" || len(app.Contexts) == 0 {
			p.add(fmt.Sprintf("admin.applications[%d]", i), "want a name and at least one context")
		}
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
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
		p.address(key+".address", store.Address)
		if !slices.Contains([]string{"", TLSImplicit, TLSStart, TLSNone}, store.TLS) {
			p.add(key+".tls", "%q: want implicit, starttls or none", store.TLS)
		}
		p.backend(key+".backend", store.BackendOrDefault())
		if store.IdleRefresh < 0 || store.IdleRefresh >= maxIdle {
			p.add(key+".idleRefresh", "%s: want less than %s (RFC 2177)", store.IdleRefresh, maxIdle)
		}
		if store.PollInterval < 0 || store.ResponseTimeout < 0 {
			p.add(key, "durations must not be negative")
		}
		s.validateMasterLogin(p, key+".masterLogin", store)
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
		p.address("worker.advertise", s.Worker.Advertise)
	}
	if host, _, err := net.SplitHostPort(s.WorkerAdvertise()); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			p.add("worker.advertise", "is needed: others cannot reach this worker at %q", s.Worker.Listen)
		}
	}
	if len(s.Worker.Backends) == 0 {
		p.add("worker.backends", "want at least one: %s", strings.Join(Backends(), ", "))
	}
	for _, backend := range s.Worker.Backends {
		p.backend("worker.backends", backend)
	}
	if s.Worker.Capacity == 0 {
		p.add("worker.capacity", "want at least 1")
	}
}

// validateWebhook refuses prefixes that do not say what they mean. An IPv4 address
// in IPv6 clothes is judged as IPv4.
func (s *Settings) validateWebhook(p *problems) {
	const key = "push.webhook.allowPrivate"
	for _, prefix := range s.Push.Webhook.AllowPrivate {
		switch {
		case !prefix.IsValid():
			p.add(key, "want prefixes like 10.1.0.0/16")
		case prefix.Addr().Is4In6():
			p.add(key, "%q: want the prefix as IPv4", prefix)
		case prefix != prefix.Masked():
			p.add(key, "%q: want %s, or fewer addresses", prefix, prefix.Masked())
		}
	}
}

func (p *problems) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		p.add(key, "%q: want host:port", address)
	}
}

// either refuses a secret that is given both in place and as a file.
func (p *problems) either(key string, inline bool, file string) {
	if inline && file != "" {
		p.add(key, "is given in place and as %sFile; want one", key)
	}
}
