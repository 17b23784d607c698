// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailpush.internal/cmd/internal/capacity"
	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/identity"
)

// Explain writes what the settings mean for the named service, for --check: the
// consequences a reader of the file would want to know, no secrets. Further warnings come
// after its own.
func (s *Settings) Explain(w io.Writer, service string, warnings ...string) {
	line := lines(w)
	line("cluster", "%s, %d shards per backend, lease %s, etcd %s below %s",
		s.Cluster.Name, s.Cluster.Shards, s.Cluster.LeaseTTL, strings.Join(s.Cluster.Etcd.Endpoints, " "), s.Cluster.Etcd.Prefix)
	switch service {
	case identity.Admin:
		s.explainAdmin(line)
	case identity.Vault:
		line("listens", "%s, health and metrics on %s", s.Vault.Listen, s.Vault.OpsListen)
		line("passwords", "%s", s.storageWords())
	case identity.Scheduler:
		line("listens", "%s, health and metrics on %s", s.Scheduler.Listen, s.Scheduler.OpsListen)
		line("registry", "asked at %s", strings.Join(s.AdminAddresses(), ", "))
	case identity.Worker:
		line("listens", "%s, known to others as %s, health and metrics on %s", s.Worker.Listen, s.WorkerAdvertise(), s.Worker.OpsListen)
		s.explainWorker(line)
	}
	s.explainCertificates(line, service)
	s.explainFiles(line, service)
	explainWarnings(line, append(s.Warnings(service), warnings...))
}

// ExplainSingle is Explain for a whole mailpush in one process.
func (s *Settings) ExplainSingle(w io.Writer) {
	line := lines(w)
	line("cluster", "%s, %d shards, in this process alone", s.Cluster.Name, s.Cluster.Shards)
	s.explainAdmin(line)
	s.explainWorker(line)
	s.explainServed(line, identity.Services()...)
	explainWarnings(line, s.warningsSingle())
}

func explainWarnings(line liner, warnings []string) {
	for _, words := range warnings {
		line("warning", "%s", words)
	}
}

// liner writes one line of an explanation.
type liner func(name, format string, args ...any)

func lines(w io.Writer) liner {
	return func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
}

func (s *Settings) explainWorker(line liner) {
	carries := s.Carries()
	line("capacity", "%d listeners, %s; backends %s", carries.Listeners, carries.Why, strings.Join(s.Worker.Backends, ", "))
	if carries.Warning != "" {
		line("note", "%s", carries.Warning)
	}
	line("webhooks", "%s", s.webhookWords())
	if n := s.Worker.Notify; n.Listen != "" {
		words := "TLS"
		if n.TLS.CertFile == "" {
			words = "in CLEAR TEXT, password included"
		}
		line("notifications", "by HTTP on %s, %s", n.Listen, words)
	}
	for _, at := range []string{s.Worker.MailNotify.Listen, s.Worker.MailNotify.Socket} {
		if at != "" {
			line("notifications", "by datagrams on %s, gathered for %s", at, s.Worker.MailNotify.Window)
		}
	}
}

// Carries is how many listeners a worker with these settings carries on this machine.
func (s *Settings) Carries() capacity.Answer {
	return capacity.Chosen(s.Worker.Capacity, capacity.Here())
}

func (s *Settings) explainAdmin(line liner) {
	line("listens", "%s for clients, %s for services, health and metrics on %s", s.Admin.Listen, s.Admin.InternalListen, s.Admin.OpsListen)
	clients := "every client"
	if len(s.Push.AllowedClients) > 0 {
		clients = "the clients " + strings.Join(s.Push.AllowedClients, ", ")
	}
	switch {
	case !s.Push.AllowPermanentPush:
		line("permanent", "nobody gets a permanent listener: push.allowPermanentPush is false")
	case !s.IMAPIdle.SupportsPermanentListeners && !s.anyStore(func(store Store) bool { return store.BackendOrDefault() != BackendIMAPIdle }):
		line("permanent", "nobody gets a permanent listener: imapidle.supportsPermanentListeners is false")
	case s.Mail.PasswordSource == PasswordSession && !s.Push.CredStorage.Enabled &&
		!s.anyStore(func(store Store) bool { return store.Doveadm.URL != "" }):
		line("permanent", "nobody gets a permanent listener: push.credstorage.enabled is false and there is no master user")
	default:
		line("permanent", "users of %s get a permanent listener", clients)
	}
	line("passwords", "%s", s.storageWords())
	for _, name := range s.storeNames() {
		store := s.Mail.Stores[name]
		words := tlsWords(store.TLS)
		if s.Mail.PasswordSource == PasswordGlobal {
			words += ", the master user opens " + store.MasterLoginOrDefault()
		}
		if store.Address == "" {
			words = "no IMAP"
		}
		if store.BackendOrDefault() != BackendIMAPIdle {
			words += ", backend " + store.BackendOrDefault()
		}
		line("mail store", "%s at %s, %s%s", name, cmp.Or(store.Address, store.Doveadm.URL), words, store.doveadmWords())
	}
	line("callers", "%d administrators, %d applications", len(s.Admin.Administrators), len(s.Admin.Applications))
}

func (s *Settings) storageWords() string {
	where := "in memory only, gone with the vault"
	if s.Push.CredStorage.RDB {
		where = "in SQL"
	}
	switch {
	case s.Mail.PasswordSource == PasswordGlobal:
		return "the master user opens every mailbox; signing secrets sealed " + where
	case s.Push.CredStorage.Enabled:
		return "sealed and kept " + where
	default:
		return "users' passwords are refused: push.credstorage.enabled is false"
	}
}

func (s *Settings) webhookWords() string {
	words := "https only"
	if s.Push.Webhook.AllowHTTP {
		words = "https and http"
	}
	words += ", public addresses (ports " + cmp.Or(numbers(s.Push.Webhook.AllowPorts), "none") + ")"
	for _, prefix := range s.Push.Webhook.AllowPrivate {
		words += ", " + prefix.String()
	}
	for _, rule := range s.Push.Webhook.Rules {
		words += "; " + rule.words()
	}
	return words
}

// words say what a rule does. That its files fit is seen to by whoever validates it; a
// certificate that has ended is no reason not to start, but one to be told.
func (r WebhookRule) words() string {
	var does []string
	if r.CAFile != "" {
		does = append(does, "by the authorities of "+r.CAFile)
	}
	if pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile); err == nil {
		does = append(does, "with the client certificate "+r.CertFile+", "+untilWords(pair.Leaf.NotAfter))
	}
	return r.Origin + " " + strings.Join(does, " and ")
}

func (s *Settings) anyStore(is func(Store) bool) bool {
	for _, store := range s.Mail.Stores {
		if is(store) {
			return true
		}
	}
	return false
}

func (s *Settings) storeNames() []string {
	names := make([]string, 0, len(s.Mail.Stores))
	for name := range s.Mail.Stores {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func tlsWords(mode string) string {
	switch mode {
	case TLSNone:
		return "in CLEAR TEXT, passwords included"
	case TLSStart:
		return "STARTTLS"
	default:
		return "TLS"
	}
}

// Table writes every setting with its default and meaning as a Markdown table.
func Table(w io.Writer) {
	fmt.Fprintln(w, "| setting | default | meaning |")
	fmt.Fprintln(w, "|---|---|---|")
	for _, leaf := range config.Leaves(Default()) {
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", leaf.Key, defaultWords(leaf), leaf.Doc)
	}
}

func numbers(list []uint16) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

func defaultWords(leaf config.Leaf) string {
	switch value := leaf.Value.Interface().(type) {
	case []string:
		return strings.Join(value, ", ")
	case []uint16:
		return numbers(value)
	case interface{ Reveal() string }:
		// Defaults hold no secrets, only places.
		return value.Reveal()
	case string, bool, uint32, fmt.Stringer:
		return fmt.Sprint(value)
	default:
		return ""
	}
}
