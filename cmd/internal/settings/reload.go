// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"mailpush.internal/pkg/identity"
)

// Uptake is what a change of a setting, or of the file that it names, takes in a service
// that runs.
type Uptake struct {
	// Key is the setting, or what the keys of several begin with. * stands for the name of
	// a mail store.
	Key string
	// Live are the services that take the change while they run, and Restart those that
	// take it when they are started again. Others do not read the setting.
	Live, Restart []string
	// Kept says that a service can take another value, but none in the place of one, or one
	// in the place of none: that takes a restart.
	Kept bool
	// What happens then, for the documentation.
	Note string
}

// Uptakes are all settings. The longest key that fits counts.
func Uptakes() []Uptake {
	const admin, vault, scheduler, worker = identity.Admin, identity.Vault, identity.Scheduler, identity.Worker
	in := func(services ...string) []string { return services }
	all := in(admin, vault, scheduler, worker)
	return []Uptake{
		{Key: "cluster.name", Restart: all},
		{Key: "cluster", Restart: in(admin, scheduler, worker)},
		{Key: "identity.dir", Live: all, Note: "the next connections show what was read, and are held against it"},
		{Key: "push.allowPermanentPush", Live: in(admin), Note: "listeners end or begin within 30 s"},
		{Key: "push.allowedClients", Live: in(admin), Note: "listeners end or begin within 30 s"},
		{Key: "push.credstorage.enabled", Live: in(admin, vault), Note: "listeners end or begin within 30 s"},
		{Key: "push.credstorage", Restart: in(vault)},
		{Key: "push.webhook", Live: in(worker), Note: "requests in flight end as they began"},
		{Key: "push.webhook.allowHTTP", Live: in(admin, worker), Note: "requests in flight end as they began"},
		{Key: "mail.passwordSource", Live: in(admin, vault), Note: "listeners end or begin within 30 s"},
		{Key: "mail.masterUser", Live: in(vault), Note: "the next logins"},
		{Key: "mail.masterPassword", Live: in(vault), Note: "the next logins"},
		{Key: "mail.masterPasswordFile", Live: in(vault), Note: "the next logins"},
		{Key: "mail.stores", Live: in(admin), Note: "workers hear of it within 30 s"},
		{Key: "mail.stores.*.doveadm.url", Live: in(admin, worker), Note: "workers hear of it within 30 s"},
		{Key: "mail.stores.*.doveadm.apiKey", Live: in(worker), Note: "the next requests"},
		{Key: "mail.stores.*.doveadm.apiKeyFile", Live: in(worker), Note: "the next requests"},
		{Key: "imapidle", Live: in(admin), Note: "listeners end or begin within 30 s"},
		{Key: "admin.administrators", Live: in(admin), Note: "the next calls"},
		{Key: "admin.applications", Live: in(admin), Note: "the next calls"},
		{Key: "admin.allowedOrigins", Live: in(admin), Note: "the next calls"},
		{Key: "admin.tls", Live: in(admin), Kept: true, Note: "the next connections"},
		{Key: "admin.internalListen", Restart: in(admin, scheduler, worker)},
		{Key: "admin.internalAddress", Restart: in(scheduler, worker)},
		{Key: "admin", Restart: in(admin)},
		{Key: "vault.listen", Restart: in(vault, admin, worker)},
		{Key: "vault.address", Restart: in(admin, worker)},
		{Key: "vault", Restart: in(vault)},
		{Key: "scheduler.listen", Restart: in(scheduler, admin)},
		{Key: "scheduler.address", Restart: in(admin)},
		{Key: "scheduler", Restart: in(scheduler)},
		{Key: "worker.notify", Live: in(worker), Note: "the next notifications"},
		{Key: "worker.notify.listen", Restart: in(worker)},
		{Key: "worker.notify.tls", Live: in(worker), Kept: true, Note: "the next connections"},
		{Key: "worker.mailnotify.allow", Live: in(worker), Note: "the next datagrams"},
		{Key: "worker.mailnotify.secret", Live: in(worker), Note: "the next datagrams"},
		{Key: "worker.mailnotify.secretFile", Live: in(worker), Note: "the next datagrams"},
		{Key: "worker.mailnotify.loginDelimiter", Live: in(worker), Note: "the next datagrams"},
		{Key: "worker", Restart: in(worker)},
		{Key: "log.level", Live: all, Note: "the next lines"},
		{Key: "log", Restart: all},
	}
}

// uptakeOf is the one of a setting, whose key may go on below a list or mapping as in
// mail.stores.main.address and admin.applications[0].name.
func uptakeOf(key string) Uptake {
	key = indexPattern.ReplaceAllString(key, "")
	key = storePattern.ReplaceAllString(key, "mail.stores.*$1")
	var found Uptake
	for _, one := range Uptakes() {
		if len(one.Key) > len(found.Key) && (key == one.Key || strings.HasPrefix(key, one.Key+".")) {
			found = one
		}
	}
	return found
}

var (
	indexPattern = regexp.MustCompile(`\[\d+\]`)
	indexed      = regexp.MustCompile(`\[\d+\].*`)
	// The name of a mail store may have dots in it; none of what follows it has.
	storePattern = regexp.MustCompile(`^mail\.stores\..+?((\.doveadm)?\.[A-Za-z]+)$`)
)

// Changes are settings that are other ones than before, ascending; a list is one, whatever
// of it has changed.
type Changes struct {
	Live, Restart []string
}

// ChangesFor sorts what has changed between two states by what it takes in the services.
// One that some of them take while they run and some do not is in both.
func (v Values) ChangesFor(services []string, next Values) Changes {
	var out Changes
	for key := range v.differs(next) {
		uptake := uptakeOf(key)
		concerns := func(those []string) bool { return overlap(those, services) }
		begins := uptake.Kept && (v[key] == none || next[key] == none)
		name := indexed.ReplaceAllString(key, "")
		if concerns(uptake.Live) && !begins {
			out.Live = append(out.Live, name)
		}
		if concerns(uptake.Restart) || concerns(uptake.Live) && begins {
			out.Restart = append(out.Restart, name)
		}
	}
	for _, names := range []*[]string{&out.Live, &out.Restart} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return out
}

func overlap(some, others []string) bool {
	return slices.ContainsFunc(some, func(one string) bool { return slices.Contains(others, one) })
}

// UptakeTable writes what a change takes as a Markdown table.
func UptakeTable(w io.Writer) {
	fmt.Fprintln(w, "| setting | taken while it runs by | needs a restart of | what then |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, one := range Uptakes() {
		note := one.Note
		if one.Kept {
			note += "; whether there is TLS takes a restart"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", one.Key, named(one.Live), named(one.Restart), note)
	}
}

// named are services for a reader.
func named(services []string) string {
	if len(services) == len(identity.Services()) {
		return "every service"
	}
	return strings.Join(services, ", ")
}
