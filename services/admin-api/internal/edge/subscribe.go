// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Request items for pushes of a user's new mail to one device of a client.
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
	ClearHeaders   bool             // else no headers means those that there are
	Cursor         *registry.Cursor // how far mails are known to the caller; nil leaves it to Start
	Start          Start
}

// Start is where the cursor of a subscription begins that has none.
type Start int

const (
	// StartAtAnswer is at the end of the mailbox, which a worker opens before the answer.
	StartAtAnswer Start = iota
	// StartAtFirstLook is at the end of the mailbox when its first listener looks. A login
	// that takes no other's place is not tried before.
	StartAtFirstLook
)

// Account is the user's login at a mail store.
type Account struct {
	Store, Login string        // where a master user opens the mailboxes, Login may be empty
	Password     secret.String // zero where a master user opens the mailboxes
}

// same tells whether both say the same.
func (a *Account) same(b *Account) bool {
	return a != nil && b != nil && a.Store == b.Store && a.Login == b.Login && a.Password.Reveal() == b.Password.Reveal()
}

// Answer is what became of a Request.
type Answer struct {
	ID        string
	Permanent bool
	Reason    string // why there is no permanent listener
	Keys      Keys
}

// Outcome is the Answer to one of many, or its error.
type Outcome struct {
	Answer
	Err error
}

// Subscribe stores a subscription: login and signing secret in the vault, the
// mailbox's end as its cursor, the rest in the registry, and tells the shard's
// owner. A login that the mail store refuses is a Precondition, and changes nothing, where
// there is one already; the first one of a user is stored as suspended. What cannot be
// reached is Unavailable and leaves nothing new behind.
func (e *Edge) Subscribe(ctx context.Context, r Request) (Answer, error) {
	done := e.SubscribeMany(ctx, []Request{r})[0]
	return done.Answer, done.Err
}

// SubscribeMany does that for many, and tells of each what became of it: what is wrong with
// one, or befalls it, is nothing to the others. Of one user's, each builds on what those
// before it have stored.
func (e *Edge) SubscribeMany(ctx context.Context, list []Request) []Outcome {
	all, accounts := make([]*item, len(list)), make(map[registry.UserID]*Account)
	for i, r := range list {
		all[i] = &item{Request: r}
	}
	for _, turn := range turns(all) {
		for _, a := range turn {
			if a.Account.same(accounts[a.User]) {
				a.Account = nil // stored a moment ago: it has not to prove itself against itself
			}
		}
		e.subscribe(ctx, turn)
		for _, a := range turn {
			if a.Err == nil && a.Account != nil {
				accounts[a.User] = a.Account
			}
		}
	}
	out := make([]Outcome, len(all))
	for i, a := range all {
		out[i] = a.Outcome
	}
	return out
}

// item is a request, and what becomes of it.
type item struct {
	Request
	Outcome

	kind registry.CredentialKind // of the login it brings; empty when there is nothing to store
}

// turns splits requests so that no two of one user are in one turn.
func turns(all []*item) [][]*item {
	var out [][]*item
	had := make(map[registry.UserID]int, len(all))
	for _, a := range all {
		turn := had[a.User]
		had[a.User]++
		if turn == len(out) {
			out = append(out, nil)
		}
		out[turn] = append(out[turn], a)
	}
	return out
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
	if err := checkCursor(r.Cursor); err != nil {
		return "", err
	}
	if r.Account == nil {
		return "", nil
	}
	if strings.ContainsRune(r.Account.Login, 0) { // of which neither IMAP nor PostgreSQL has a word
		return "", fault.Field("account.login", "must not hold a zero byte")
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

// watched is the folder whose mail is pushed.
const watched = "INBOX"

// checkCursor refuses a cursor of a caller that is none of the folder that is watched.
func checkCursor(c *registry.Cursor) error {
	switch {
	case c == nil:
		return nil
	case c.Folder != watched:
		return fault.Field("cursor.folder", "must be %s, whose mail is pushed", watched)
	case c.UIDValidity == 0:
		return fault.Field("cursor.uidValidity", "is required")
	default:
		return nil
	}
}

// device is whose subscription a call is about.
type device struct {
	user         registry.UserID
	client, name string
}

func (d device) compare(other device) int {
	return cmp.Or(cmp.Compare(d.user.Key(), other.user.Key()), cmp.Compare(d.client, other.client), cmp.Compare(d.name, other.name))
}
