// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package decide answers one question: does a user get a permanent listener? It
// is a pure function of the operator's policy and the registry's facts, and the
// only place that answers it: scheduler loads, the listing of a shard, the answer
// of Subscribe and Explain all ask here, so they cannot disagree.
package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mailpush.internal/services/admin-api/internal/registry"
)

// Capability says whether a live worker can run the user's backend.
type Capability int

const (
	// NotAsked leaves workers out of the decision: the registry's own view.
	NotAsked Capability = iota
	// Capable means that a live worker is capable of the backend.
	Capable
	// Incapable means that no live worker is.
	Incapable
	// NoWorkers means that no worker is live at all.
	NoWorkers
)

// The names of checks that callers look for.
const (
	// CheckCredential asks whether the login has been refused.
	CheckCredential = "credential"
	checkWorker     = "worker"
)

// Step is one check of the decision.
type Step struct {
	Check  string
	OK     bool
	Detail string
	Cause  Cause // why it is not OK; empty when it is
}

// Decision is the checks in order, up to and including the first that says no.
type Decision struct {
	Steps   []Step
	Backend string // the backend of the user's mail store; empty when not known
}

// OK says whether the user gets a permanent listener.
func (d Decision) OK() bool { return d.Steps[len(d.Steps)-1].OK }

// Last is the name of the check that decided.
func (d Decision) Last() string { return d.Steps[len(d.Steps)-1].Check }

// Reason is why the user gets none; empty when it gets one.
func (d Decision) Reason() string {
	if d.OK() {
		return ""
	}
	return d.Steps[len(d.Steps)-1].Detail
}

// check is one question; it answers in words that a person can act upon.
type check struct {
	name string
	ask  func(Policy, registry.User, Capability) (cause Cause, detail string)
}

// Listener decides whether the user gets a permanent listener.
func Listener(p Policy, u registry.User, workers Capability) Decision {
	d := Decision{Backend: p.Stores[u.Store]}
	for _, c := range checks() {
		if c.name == checkWorker && workers == NotAsked {
			continue
		}
		cause, detail := c.ask(p, u, workers)
		d.Steps = append(d.Steps, Step{Check: c.name, OK: cause == "", Detail: detail, Cause: cause})
		if cause != "" {
			break
		}
	}
	return d
}

func checks() []check {
	return []check{
		{"registration", registered},
		{"client", clientAllowed},
		{"user", enabled},
		{"mail store", storeKnown},
		{"permanent push", permanentAllowed},
		{"backend", backendSupports},
		{"login", loginAvailable},
		{CheckCredential, credentialGood},
		{checkWorker, workerCapable},
	}
}

// Checks are the names of the checks that are made where workers are not asked, in their
// order.
func Checks() []string {
	var names []string
	for _, c := range checks() {
		if c.name != checkWorker {
			names = append(names, c.name)
		}
	}
	return names
}

func registered(_ Policy, u registry.User, _ Capability) (Cause, string) {
	if len(u.Clients) == 0 {
		return NotRegistered, "no client is registered"
	}
	return "", "registered: " + strings.Join(u.Clients, ", ")
}

func clientAllowed(p Policy, u registry.User, _ Capability) (Cause, string) {
	if i := slices.IndexFunc(u.Clients, p.AllowedClients.Allow); i >= 0 {
		return "", u.Clients[i] + " is allowed"
	}
	return ClientNotAllowed, "push.allowedClients names none of: " + strings.Join(u.Clients, ", ")
}

func enabled(_ Policy, u registry.User, _ Capability) (Cause, string) {
	if !u.Enabled {
		if u.Disabling.Reason != "" {
			return UserDisabled, "the user is disabled: " + u.Disabling.Reason
		}
		return UserDisabled, "the user is disabled"
	}
	return "", "the user is enabled"
}

func storeKnown(p Policy, u registry.User, _ Capability) (Cause, string) {
	if u.Store == "" {
		return NoMailStore, "no mail store is known: no subscription has brought an account yet"
	}
	if _, ok := p.Stores[u.Store]; !ok {
		return UnknownMailStore, UnknownStore(p, u.Store)
	}
	return "", fmt.Sprintf("mail store %q", u.Store)
}

// UnknownStore says that there is no such mail store, and which there are.
func UnknownStore(p Policy, name string) string {
	known := strings.Join(p.StoreNames(), ", ")
	if known == "" {
		known = "none"
	}
	return fmt.Sprintf("no such mail store %q; known: %s", name, known)
}

func permanentAllowed(p Policy, _ registry.User, _ Capability) (Cause, string) {
	if !p.AllowPermanentPush {
		return PermanentPushOff, "push.allowPermanentPush is off"
	}
	return "", "push.allowPermanentPush is on"
}

func backendSupports(p Policy, u registry.User, _ Capability) (Cause, string) {
	backend := p.Stores[u.Store]
	switch permanent, known := p.PermanentBackends[backend]; {
	case !known:
		have := strings.Join(slices.Sorted(maps.Keys(p.PermanentBackends)), ", ")
		return UnknownBackend, fmt.Sprintf("this version has no backend %q; it has: %s", backend, have)
	case !permanent:
		return BackendNotPermanent, backend + ".supportsPermanentListeners is off"
	}
	return "", "backend " + backend + " supports permanent listeners"
}

func loginAvailable(p Policy, u registry.User, _ Capability) (Cause, string) {
	_, byDoveadm := p.ByDoveadm(u)
	switch {
	case byDoveadm:
		return "", "doveadm opens the mailbox"
	case p.leftToDoveadm(u):
		return LoginAmbiguous, "contextId: " + Ambiguous(u.Store)
	case u.Credential.Kind == registry.KindDoveadm && p.Doveadm[u.Store] == "":
		return LoginUnusable, fmt.Sprintf("no login is stored, and mail store %q has no doveadm any more", u.Store)
	case u.Credential.Kind == registry.KindDoveadm:
		return "", "doveadm is to open the mailbox"
	case u.Credential.State == registry.CredentialNone && !p.MasterUser && !p.CredStorage:
		return LoginUnusable, "no login: push.credstorage.enabled is off and mail.passwordSource is not global"
	case u.Credential.State == registry.CredentialNone:
		return NoCredential, "no login is stored: no subscription has brought an account yet"
	case u.Credential.Kind == registry.KindMaster && p.MasterUser:
		return "", "the master user opens the mailbox"
	case u.Credential.Kind == registry.KindMaster:
		return LoginUnusable, "the stored login needs a master user, but mail.passwordSource is not global"
	case !p.CredStorage:
		return LoginUnusable, "the stored login needs push.credstorage.enabled, which is off"
	default:
		return "", "a password is stored"
	}
}

func credentialGood(_ Policy, u registry.User, _ Capability) (Cause, string) {
	if u.Credential.State == registry.CredentialSuspended {
		return LoginRefused, "credential suspended: " + u.Credential.Reason
	}
	return "", "the login is not suspended"
}

func workerCapable(p Policy, u registry.User, workers Capability) (Cause, string) {
	backend := p.Stores[u.Store]
	switch workers {
	case Capable:
		return "", "a live worker is capable of " + backend
	case NoWorkers:
		return NoWorker, "no worker is live"
	default:
		return NoCapableWorker, "no live worker is capable of " + backend
	}
}
