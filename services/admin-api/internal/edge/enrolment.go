// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// enrolment is one attempt at a request: what has been found, and what will be stored.
type enrolment struct {
	*Edge
	*item

	sub           registry.Subscription // what will be stored
	old           registry.Subscription // what is stored of the device; without an id when nothing is
	before, after registry.User
	cred          *registry.Credential // nil keeps the stored one
	keys          Keys
	seals         []sealing // what has to be sealed
	sealed        bool      // it has been: the registry is to name it
	err           error     // nothing more is done about it
}

// enrolment begins with what is there of the user.
func (e *Edge) enrolment(a *item, found registry.Mailbox) *enrolment {
	r := a.Request
	n := &enrolment{Edge: e, item: a, before: found.User}
	n.sub = registry.Subscription{
		ID: newID(), UserID: r.User, Client: r.Client, Device: r.Device, Topics: r.Topics,
		Content: r.Content, Mode: r.Mode, Target: r.Target, CreatedAt: time.Now(),
		Endpoint: registry.Endpoint{Origin: r.Target.Origin()},
		Signing:  registry.Signing{Scheme: cmp.Or(r.Scheme, registry.SchemeV1)},
	}
	if found.UserID == (registry.UserID{}) {
		n.before = registry.User{
			UserID: r.User, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone},
		}
	}
	for _, s := range found.Subscriptions {
		if s.Client == r.Client && s.Device == r.Device {
			n.renew(s)
		}
	}
	if len(n.sub.Cursors) == 0 && r.Cursor != nil {
		n.sub.Cursors = []registry.Cursor{*r.Cursor}
	}
	n.after = n.before
	if !slices.Contains(n.after.Clients, r.Client) {
		n.after.Clients = append(slices.Clone(n.before.Clients), r.Client)
	}
	if r.Account != nil && (n.kind != "" || !n.hasLogin()) { // a login stays at the store that has accepted it
		n.after.Store, n.after.Doveadm = r.Account.Store, ""
	}
	if n.err = n.checkHeadersStay(); n.err == nil && n.old.ID == "" && len(found.Subscriptions) >= registry.MaxSubscriptions {
		n.err = registry.TooMany(r.User)
	}
	return n
}

// hasLogin tells whether something opens the user's mailbox already, or did until it was
// refused. All clients of the user have it in common.
func (n *enrolment) hasLogin() bool {
	c := n.before.Credential
	_, byDoveadm := n.Policy.ByDoveadm(n.before)
	return c.State != registry.CredentialNone || c.Kind == registry.KindDoveadm || byDoveadm
}

// plan says what has to be sealed.
func (n *enrolment) plan(ctx context.Context) error {
	switch n.kind {
	case "":
	case registry.KindDoveadm:
		n.nameLogin()
	case registry.KindPassword, registry.KindMaster:
		n.sealLogin()
	}
	if err := n.sealSecret(ctx); err != nil {
		return err
	}
	return n.sealHeaders(ctx)
}

// opens tells whether the mailbox has to be opened before the answer, by which backend.
func (n *enrolment) opens() bool {
	wanted := decide.Listener(n.Policy, n.after, decide.NotAsked)
	replaces := n.cred != nil && n.hasLogin() // it has to prove itself, whether it is needed now or later
	return replaces || n.Start == StartAtAnswer && wanted.OK() && (n.cred != nil || len(n.sub.Cursors) == 0)
}

// done is what the registry is to store.
func (n *enrolment) done() registry.Enrolment {
	done := registry.Enrolment{Subscription: n.sub, Before: n.before, Credential: n.cred, Sealed: n.accounts()}
	if n.Account != nil {
		done.MailStore, done.Doveadm = n.after.Store, n.after.Doveadm
	}
	if n.kind != "" { // else it is no more than what somebody says
		done.Login = n.masterLogin(n.Request)
	}
	return done
}

// answer is what the caller is told.
func (n *enrolment) answer() Outcome {
	if n.err != nil {
		return Outcome{Err: n.err}
	}
	d := decide.Listener(n.Policy, n.after, decide.NotAsked)
	return Outcome{Answer: Answer{ID: n.sub.ID, Permanent: d.OK(), Reason: d.Reason(), Keys: n.keys}}
}

// sealLogin leaves the login that is in force where it is: this one may turn out wrong,
// or may not come to be stored.
func (n *enrolment) sealLogin() {
	old := n.before.Credential
	c := registry.Credential{State: registry.CredentialStored, Kind: n.kind, Slot: freshSlot(old.Slot)}
	var login Secret = Master{n.masterLogin(n.Request)}
	if n.kind == registry.KindPassword {
		login = Password{n.Account.Login, n.Account.Password}
	}
	n.credential(c)
	n.seal(registry.MailAccount(c.Slot), old.Version, login, func(version uint64) {
		c.Version = version
		n.credential(c)
	})
}

// nameLogin notes what doveadm is to be asked for. There is nothing to seal, and what was
// sealed before is given up: it is of another account.
func (n *enrolment) nameLogin() {
	n.after.Doveadm = n.Account.Login
	n.credential(registry.Credential{
		State: registry.CredentialNone, Kind: registry.KindDoveadm, Version: n.before.Credential.Version + 1,
	})
}

func (n *enrolment) credential(c registry.Credential) {
	n.cred = &c
	n.after.Credential = c
}

// sealSecret seals the secret that follows the current one and, with the registry's
// word, the one before, unless the current one stays.
func (n *enrolment) sealSecret(ctx context.Context) error {
	if stays, err := n.keepSecret(ctx); stays || err != nil {
		return err
	}
	n.keys = newKeys(n.sub.Signing.Scheme, n.Request.Secret)
	account := registry.WebhookAccount(n.sub.ID, n.sub.Signing.Slot)
	n.seal(account, n.sub.Signing.Version, SigningKey{n.keys.sealed}, func(version uint64) { n.sub.Signing.Version = version })
	return nil
}

// seal has something sealed, in an account of the user.
func (n *enrolment) seal(account string, above uint64, secret Secret, took func(version uint64)) {
	at := Seat{registry.Erasure{UserID: n.User, Account: account}, above}
	n.seals = append(n.seals, sealing{Sealing{at, secret}, took})
}

// accounts are those that have been sealed.
func (n *enrolment) accounts() []registry.Erasure {
	if !n.sealed {
		return nil
	}
	return accountsOf(n.seals)
}

// sealFailed says of an error of the vault what it means for the caller. A vault of an
// earlier release does not know what headers are.
func (n *enrolment) sealFailed(err error) error {
	if fault.KindOf(err) == fault.Invalid && len(n.Headers) > 0 {
		return fault.Wrap(fault.Unavailable, err, "the credential vault cannot keep webhook.headers: it is of an earlier release; try again when it is renewed")
	}
	return err
}
