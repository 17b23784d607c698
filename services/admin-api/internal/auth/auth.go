// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package auth tells who calls the public API: an administrator by HTTP Basic, an
// application by bearer token. It keeps these invariants: no call reaches a handler
// without a known caller; a wrong name costs as long as a wrong password; what one
// source can try, and what all can make the process compute at once, is bounded.
package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/decide"
)

// Admin is an administrator: a name and the Argon2id hash of a password.
type Admin struct {
	Name         string
	PasswordHash string // as HashPassword makes it
}

// Application is a caller of PushService.
type Application struct {
	Name      string
	TokenHash string   // as HashToken makes it
	Contexts  []string // the tenants it may act for; `*` stands for any characters
}

// Caller is who makes a call.
type Caller struct {
	Name     string
	Admin    bool
	contexts []string
}

// Covers says whether the caller may act for the tenant.
func (c Caller) Covers(contextID string) bool {
	return c.Admin || slices.ContainsFunc(c.contexts, func(p string) bool { return decide.Match(p, contextID) })
}

const (
	// hashesAtOnce bounds the memory and the cores that passwords can take.
	hashesAtOnce = 2
	// loginsAtOnce bounds how many passwords are hashed or wait for it, and so how
	// long an administrator waits behind strangers.
	loginsAtOnce = 64
)

// Authenticator knows all callers. It is safe for concurrent use.
type Authenticator struct {
	admins    map[string]PasswordHash
	nobody    PasswordHash // hashed against for names that do not exist
	apps      []application
	failures  *failures // by address and name
	networks  *failures // by address
	successes *successes
	logins    chan struct{}
	hashing   chan struct{}
	now       func() time.Time
}

type application struct {
	hash   TokenHash
	caller Caller
}

// New makes an Authenticator. Its errors name the entry at fault, never a hash.
func New(admins []Admin, apps []Application) (*Authenticator, error) {
	return (&Authenticator{
		failures: newFailures(failuresAllowed, failureEvery),
		networks: newFailures(networkAllowed, networkEvery),
		logins:   make(chan struct{}, loginsAtOnce),
		hashing:  make(chan struct{}, hashesAtOnce),
		now:      time.Now,
	}).With(admins, apps)
}

// With makes an Authenticator that knows other callers. What was wrong counts on, and what
// is computed at once is bounded for both together; who was right has to show it again.
func (a *Authenticator) With(admins []Admin, apps []Application) (*Authenticator, error) {
	next := *a
	next.admins, next.apps, next.successes = make(map[string]PasswordHash, len(admins)), nil, newSuccesses()
	var err error
	for _, admin := range admins {
		if _, twice := next.admins[admin.Name]; twice || admin.Name == "" {
			return nil, fmt.Errorf("admin %q: the name is empty or given twice", admin.Name)
		}
		if next.admins[admin.Name], err = ParsePasswordHash(admin.PasswordHash); err != nil {
			return nil, fmt.Errorf("admin %q: %w", admin.Name, err)
		}
		next.nobody = next.admins[admin.Name] // costs what an administrator costs
	}
	for _, app := range apps {
		hash, err := ParseTokenHash(app.TokenHash)
		if err != nil {
			return nil, fmt.Errorf("application %q: %w", app.Name, err)
		}
		if app.Name == "" || len(app.Contexts) == 0 {
			return nil, fmt.Errorf("application %q: needs a name and at least one context", app.Name)
		}
		next.apps = append(next.apps, application{hash, Caller{Name: app.Name, contexts: app.Contexts}})
	}
	return &next, nil
}

var (
	errMissing = fault.New(fault.Unauthenticated, "credentials are missing: HTTP Basic of an administrator or a bearer token of an application")
	errWrong   = fault.New(fault.Unauthenticated, "name, password or token is wrong")
	errLimit   = errors.New("limit of wrong credentials")
	errBusy    = &fault.Error{Kind: fault.Exhausted, Message: "too many logins at once; try again", RetryAfter: time.Second}
)

// limited refuses a source that has been wrong too often; nil when it need not wait.
func limited(wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Exhausted, Message: "too many wrong credentials; try again later", Err: errLimit, RetryAfter: wait}
}

// Basic authenticates an administrator who calls from address.
func (a *Authenticator) Basic(ctx context.Context, address, name string, password secret.String) (Caller, error) {
	if len(a.admins) == 0 {
		return Caller{}, errWrong
	}
	from := source{address, name}
	if caller, err := a.known(from, password); caller.Admin || err != nil {
		return caller, err
	}
	select {
	case a.logins <- struct{}{}:
		defer func() { <-a.logins }()
	default:
		return Caller{}, errBusy
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return Caller{}, ctx.Err()
	}
	// Many calls may have waited together: what the first has found out holds for
	// the others, in both directions.
	if caller, err := a.known(from, password); caller.Admin || err != nil {
		return caller, err
	}
	hash, known := a.admins[name]
	if !known {
		hash = a.nobody
	}
	if right := hash.matches(password); !right || !known {
		a.failures.note(from, a.now())
		a.networks.note(source{address: address}, a.now())
		return Caller{}, errWrong
	}
	a.successes.add(name, password, a.now())
	return Caller{Name: name, Admin: true}, nil
}

// known is what can be said of a login without a hash: the administrator who has been
// right a moment ago, errLimit for whoever was wrong too often, neither of others.
func (a *Authenticator) known(from source, password secret.String) (Caller, error) {
	now := a.now()
	if a.successes.has(from.name, password, now) {
		return Caller{Name: from.name, Admin: true}, nil
	}
	return Caller{}, limited(max(a.failures.wait(from, now), a.networks.wait(source{address: from.address}, now)))
}

// Bearer authenticates an application that calls from address. It looks at every
// application, whichever matches.
func (a *Authenticator) Bearer(address, token string) (Caller, error) {
	from := source{address, "bearer"}
	hash := hashToken(token)
	var caller *Caller
	for i := range a.apps {
		if subtle.ConstantTimeCompare(hash[:], a.apps[i].hash[:]) == 1 {
			caller = &a.apps[i].caller
		}
	}
	if caller != nil {
		return *caller, nil
	}
	if err := limited(a.failures.wait(from, a.now())); err != nil {
		return Caller{}, err
	}
	a.failures.note(from, a.now())
	return Caller{}, errWrong
}

type callerKey struct{}

// From returns the caller that the middleware has found.
func From(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		return Caller{}, errors.New("a call has reached its handler without authentication")
	}
	return c, nil
}

func with(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}
