// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Request asks for pushes of a user's new mail to one device of a client.
type Request struct {
	User           registry.UserID
	Client, Device string
	Topics         []string
	Content        mailv1.Content
	Mode           mailv1.Mode
	Account        *Account // nil keeps what an earlier call has said
	AnyLogin       bool     // the caller may have the master user open any mailbox
	Target         registry.Target
	Scheme         registry.Scheme // empty: that of the secret that there is, else v1
	Secret         secret.String   // what signs the pushes; zero: the one that there is, else one is made
	Headers        map[string]secret.String
	ClearHeaders   bool // else no headers means those that there are
}

// Account is the user's login at a mail store.
type Account struct {
	Store, Login string        // where a master user opens the mailboxes, Login may be empty
	Password     secret.String // zero where a master user opens the mailboxes
}

// Answer is what became of a Request.
type Answer struct {
	ID        string
	Permanent bool
	Reason    string // why there is no permanent listener
	Keys      Keys
}

// device is whose subscription a call is about.
type device struct {
	user         registry.UserID
	client, name string
}

// attempts is how often a Subscribe is begun: another time for each that overtakes it.
const attempts = 4

// Subscribe stores a subscription: login and signing secret in the vault, the
// mailbox's end as its cursor, the rest in the registry, and tells the shard's
// owner. A login that the mail store refuses is a Precondition, and changes nothing, where
// there is one already; the first one of a user is stored as suspended. What cannot be
// reached is Unavailable and leaves nothing new behind.
//
// No lock of the user is held meanwhile, for a mail store may take its time, and other
// devices have logins of their own to bring: whoever commits last has been overtaken, and
// begins anew.
func (e *Edge) Subscribe(ctx context.Context, r Request) (Answer, error) {
	kind, err := e.check(r)
	if err != nil {
		return Answer{}, err
	}
	unlock, err := e.devices.lock(ctx, device{r.User, r.Client, r.Device})
	if err != nil {
		return Answer{}, err
	}
	defer unlock()
	for range attempts {
		var answer Answer
		if answer, err = e.enrol(ctx, r, kind); !errors.Is(err, registry.ErrOvertaken) {
			return answer, err
		}
	}
	return Answer{}, err
}

// enrol is one attempt to subscribe.
func (e *Edge) enrol(ctx context.Context, r Request, kind registry.CredentialKind) (Answer, error) {
	n, err := e.begin(ctx, r, kind)
	if err != nil {
		return Answer{}, err
	}
	if err := n.store(ctx, kind); err != nil {
		n.giveUp(ctx, n.sealed...)
		return Answer{}, err
	}
	e.touch(ctx, r.User, n.before.Store, n.after.Store)
	d := decide.Listener(e.Policy, n.after, decide.NotAsked)
	return Answer{ID: n.sub.ID, Permanent: d.OK(), Reason: d.Reason(), Keys: n.keys}, nil
}

// check refuses a request that can never succeed, and says what kind of login it
// brings; none when there is nothing to store.
func (e *Edge) check(r Request) (registry.CredentialKind, error) {
	if !e.Policy.AllowedClients.Allow(r.Client) {
		return "", fault.New(fault.Denied, "clientId: client %q is not allowed by push.allowedClients", r.Client)
	}
	if err := e.checkTarget(r); err != nil {
		return "", err
	}
	if r.Account == nil {
		return "", nil
	}
	if _, ok := e.Policy.Stores[r.Account.Store]; !ok {
		return "", fault.Field("account.mailStore", "%s", decide.UnknownStore(e.Policy, r.Account.Store))
	}
	_, byDoveadm := e.Policy.Doveadm[r.Account.Store]
	switch {
	case e.Policy.CredStorage && !r.Account.Password.IsZero() && e.hasIMAP(r.Account.Store):
		if r.Account.Login == "" {
			return "", fault.Field("account.login", "is required, for account.password is given")
		}
		return registry.KindPassword, nil
	case e.Policy.MasterUser:
		return registry.KindMaster, e.checkMasterLogin(r)
	case byDoveadm:
		return registry.KindDoveadm, e.checkMasterLogin(r)
	case e.Policy.CredStorage:
		return "", fault.Field("account.password", "is required, for mail.passwordSource is not global")
	default:
		return "", nil
	}
}

// hasIMAP tells whether a password can be proven at the mail store.
func (e *Edge) hasIMAP(store string) bool {
	return e.Stores[store].GetAddress() != "" || e.Stores[store].GetDoveadm() == nil
}

// enrolment is one Subscribe under way.
type enrolment struct {
	*Edge
	Request
	sub           registry.Subscription // what will be stored
	old           registry.Subscription // what is stored of the device; without an id when nothing is
	before, after registry.User
	cred          *registry.Credential // nil keeps the stored one
	keys          Keys
	sealed        []registry.Erasure // what the registry is to name
}

// begin reads what is there.
func (e *Edge) begin(ctx context.Context, r Request, kind registry.CredentialKind) (*enrolment, error) {
	n := &enrolment{Edge: e, Request: r}
	n.sub = registry.Subscription{
		ID: newID(), UserID: r.User, Client: r.Client, Device: r.Device, Topics: r.Topics,
		Content: r.Content, Mode: r.Mode, Target: r.Target, CreatedAt: time.Now(),
		Endpoint: registry.Endpoint{Origin: r.Target.Origin()},
		Signing:  registry.Signing{Scheme: cmp.Or(r.Scheme, registry.SchemeV1)},
	}
	var err error
	n.before, err = e.Store.User(ctx, r.User)
	if fault.KindOf(err) == fault.NotFound {
		n.before = registry.User{
			UserID: r.User, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone},
		}
	} else if err != nil {
		return nil, err
	}
	subs, err := e.Store.Subscriptions(ctx, r.User)
	if err != nil {
		return nil, err
	}
	for _, s := range subs {
		if s.Client == r.Client && s.Device == r.Device {
			n.renew(s)
		}
	}
	if err := n.checkHeadersStay(); err != nil {
		return nil, err
	}
	if n.sub.Signing.Version == 0 && len(subs) >= registry.MaxSubscriptions {
		return nil, registry.TooMany(r.User)
	}
	n.after = n.before
	if !slices.Contains(n.after.Clients, r.Client) {
		n.after.Clients = append(slices.Clone(n.before.Clients), r.Client)
	}
	if r.Account != nil && (kind != "" || !n.hasLogin()) { // a login stays at the store that has accepted it
		n.after.Store, n.after.Doveadm = r.Account.Store, ""
	}
	return n, nil
}

// hasLogin tells whether something opens the user's mailbox already, or did until it was
// refused. All clients of the user have it in common.
func (n *enrolment) hasLogin() bool {
	c := n.before.Credential
	_, byDoveadm := n.Policy.ByDoveadm(n.before)
	return c.State != registry.CredentialNone || c.Kind == registry.KindDoveadm || byDoveadm
}

// store does the work in the order in which a failure costs least: the login,
// which the baseline needs; the baseline; the signing secret and the headers; the registry.
func (n *enrolment) store(ctx context.Context, kind registry.CredentialKind) error {
	switch kind {
	case "":
	case registry.KindDoveadm:
		n.nameLogin()
	case registry.KindPassword, registry.KindMaster:
		if err := n.sealLogin(ctx, kind); err != nil {
			return err
		}
	}
	wanted := decide.Listener(n.Policy, n.after, decide.NotAsked)
	replaces := n.cred != nil && n.hasLogin() // it has to prove itself, whether it is needed now or later
	if replaces || wanted.OK() && (n.cred != nil || len(n.sub.Cursors) == 0) {
		if err := n.baseline(ctx, wanted.Backend); err != nil {
			return err
		}
	}
	if err := n.sealSecret(ctx); err != nil {
		return err
	}
	if err := n.sealHeaders(ctx); err != nil {
		return err
	}
	done := registry.Enrolment{Subscription: n.sub, Before: n.before, Credential: n.cred, Sealed: n.sealed}
	if n.Account != nil {
		done.MailStore, done.Doveadm = n.after.Store, n.after.Doveadm
	}
	if kind != "" { // else it is no more than what somebody says
		done.Login = n.masterLogin(n.Request)
	}
	return n.Store.Subscribe(ctx, done)
}

// sealLogin leaves the login that is in force where it is: this one may turn out wrong,
// or may not come to be stored.
func (n *enrolment) sealLogin(ctx context.Context, kind registry.CredentialKind) error {
	old := n.before.Credential
	c := registry.Credential{State: registry.CredentialStored, Kind: kind, Slot: freshSlot(old.Slot)}
	var err error
	c.Version, err = n.seal(ctx, registry.MailAccount(c.Slot), old.Version, func(ctx context.Context, at Seat) (uint64, error) {
		if kind == registry.KindPassword {
			return n.Vault.SealPassword(ctx, at, n.Account.Login, n.Account.Password)
		}
		return n.Vault.SealMaster(ctx, at, n.masterLogin(n.Request))
	})
	if err != nil {
		return err
	}
	n.credential(c)
	return nil
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
	n.keys = newKeys(n.sub.Signing.Scheme, n.Secret)
	account := registry.WebhookAccount(n.sub.ID, n.sub.Signing.Slot)
	var err error
	n.sub.Signing.Version, err = n.seal(ctx, account, n.sub.Signing.Version, func(ctx context.Context, at Seat) (uint64, error) {
		return n.Vault.SealWebhook(ctx, at, n.keys.sealed)
	})
	return err
}

// seal remembers what it has sealed.
func (n *enrolment) seal(
	ctx context.Context, account string, above uint64, fill func(context.Context, Seat) (uint64, error),
) (uint64, error) {
	at := Seat{registry.Erasure{UserID: n.User, Account: account}, above}
	version, err := n.Edge.seal(ctx, at, fill)
	if err == nil {
		n.sealed = append(n.sealed, at.Erasure)
	}
	return version, err
}
