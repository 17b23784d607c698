// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package credential is what the vault is for: it keeps each user's secrets sealed
// and opens them for those who need them. Invariants: what is stored is sealed or it is
// not stored; nothing is opened without an audit entry; a credential's version grows
// with each Seal, so that a late report about an old one can be told apart.
package credential

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/userid"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"

	"mailpush.internal/services/credential-vault/internal/seal"
)

// Record is a stored credential. The zero Record stands for none.
type Record struct {
	Sealed   seal.Sealed
	Version  uint64
	SealedAt time.Time // to the millisecond
}

// Put is a sealed credential that is to be stored.
type Put struct {
	Owner  seal.Owner
	Sealed seal.Sealed
	At     time.Time
}

// Records keeps sealed credentials, one for each owner.
type Records interface {
	// Put stores or replaces the credentials of some owners, each once: all of them or
	// none. A version it returns is greater than that of the credential it replaces, and at
	// least that of the Put's time, in microseconds since 1970: so it grows across Delete as
	// well, as far as the clock does. Versions are in the order of the list.
	Put(ctx context.Context, list []Put) (versions []uint64, err error)
	// Get returns the owner's credential, or a zero Record when there is none.
	Get(ctx context.Context, owner seal.Owner) (Record, error)
	// Delete removes the owner's credential, all of the user's when Account is empty,
	// and returns how many there were.
	Delete(ctx context.Context, owner seal.Owner) (int, error)
}

// Rules are the operator's decisions about what may be stored.
type Rules struct {
	StorePasswords bool          // push.credstorage.enabled
	MasterUser     string        // mail.passwordSource is global
	MasterPassword secret.String // of MasterUser
}

// Vault seals and opens credentials. It is safe for concurrent use.
type Vault struct {
	ring    *seal.Keyring
	records Records
	audit   Audit
	journal *journal // in front of audit
	rules   atomic.Pointer[Rules]
	log     *slog.Logger
	now     func() time.Time
}

// New makes a vault of an unlocked keyring. It opens nothing until Run.
func New(ring *seal.Keyring, records Records, audit Audit, rules Rules, log *slog.Logger) *Vault {
	v := &Vault{
		ring: ring, records: records, audit: audit, journal: newJournal(audit),
		log: log, now: time.Now,
	}
	v.GoBy(rules)
	return v
}

// GoBy has other rules hold from now on, also for what was sealed under those before.
func (v *Vault) GoBy(rules Rules) { v.rules.Store(&rules) }

// Sealing is a credential that is to be sealed for its owner. Its version is to be greater
// than Above: that of the one it follows, maybe in another account.
type Sealing struct {
	Owner      seal.Owner
	Credential *vaultv1.Credential
	Above      uint64
}

// Seal stores credentials, each replacing its owner's last one, and returns their versions:
// all are stored or none. It is a Precondition when the operator's rules have no place for
// the kind of one, and Invalid when two are one owner's.
func (v *Vault) Seal(ctx context.Context, list []Sealing) (versions []uint64, err error) {
	puts, seen := make([]Put, len(list)), make(map[seal.Owner]bool, len(list))
	for i, s := range list {
		if seen[s.Owner] {
			return nil, fault.Field("seals", "%s has the account %q twice", userid.Join(s.Owner.User, s.Owner.Context), s.Owner.Account)
		}
		seen[s.Owner] = true
		if puts[i], err = v.put(s); err != nil {
			return nil, err
		}
	}
	if versions, err = v.records.Put(ctx, puts); err != nil {
		return nil, away("storing credentials", err)
	}
	for i, s := range list {
		v.log.InfoContext(ctx, "credential sealed", "context", s.Owner.Context, "user", s.Owner.User,
			"account", s.Owner.Account, "version", versions[i])
	}
	return versions, nil
}

// put seals one.
func (v *Vault) put(s Sealing) (Put, error) {
	if err := checkOwner(s.Owner); err != nil {
		return Put{}, err
	}
	if err := v.rules.Load().check(s.Credential); err != nil {
		return Put{}, err
	}
	plain, err := proto.Marshal(s.Credential)
	if err != nil {
		return Put{}, fmt.Errorf("encoding a credential: %w", err)
	}
	at := v.now()
	if next := time.UnixMicro(int64(min(s.Above, math.MaxInt64-1)) + 1); next.After(at) {
		at = next // another replica's clock is ahead
	}
	return Put{Owner: s.Owner, Sealed: v.ring.Seal(s.Owner, plain), At: at}, nil
}

// Open returns the owner's credential in clear, after it has been written down who
// asked and why: NotFound when there is none, DataLoss when it does not open,
// Precondition when the rules no longer allow its kind. A store that is away is
// Unavailable, here and everywhere.
func (v *Vault) Open(ctx context.Context, owner seal.Owner, why Purpose) (*vaultv1.OpenResponse, error) {
	if err := checkOwner(owner); err != nil {
		return nil, err
	}
	if err := checkText("reason", why.Reason); err != nil {
		return nil, err
	}
	record, err := v.records.Get(ctx, owner)
	if err != nil {
		return nil, away("reading a credential", err)
	}
	opened, refusal := v.open(owner, record)
	entry := Entry{At: v.now(), Owner: owner, Purpose: why, Version: record.Version, Outcome: outcome(refusal)}
	if err := v.journal.write(ctx, entry); err != nil {
		return nil, away("auditing the opening of a credential", err)
	}
	return opened, refusal
}

// Version returns the version of the owner's credential, 0 when there is none. It opens
// nothing, so that nothing is audited.
func (v *Vault) Version(ctx context.Context, owner seal.Owner) (uint64, error) {
	if err := checkOwner(owner); err != nil {
		return 0, err
	}
	record, err := v.records.Get(ctx, owner)
	if err != nil {
		return 0, away("looking for a credential", err)
	}
	return record.Version, nil
}

func (v *Vault) open(owner seal.Owner, record Record) (*vaultv1.OpenResponse, error) {
	if record.Version == 0 {
		return nil, fault.New(fault.NotFound, "%s has no credential %q", userid.Join(owner.User, owner.Context), owner.Account)
	}
	plain, err := v.ring.Open(owner, record.Sealed)
	if err != nil {
		return nil, fault.Wrap(fault.DataLoss, err, "the credential %q of %s does not open: seal it again",
			owner.Account, userid.Join(owner.User, owner.Context))
	}
	c := new(vaultv1.Credential)
	if err := proto.Unmarshal(plain, c); err != nil {
		// The cause may quote what it could not read.
		return nil, fault.New(fault.DataLoss, "the credential %q of %s has an unknown form: seal it again",
			owner.Account, userid.Join(owner.User, owner.Context))
	}
	return v.rules.Load().reveal(c, record.Version)
}

// Delete removes the owner's credential, all of the user's when Account is empty, and
// returns how many there were.
func (v *Vault) Delete(ctx context.Context, owner seal.Owner) (int, error) {
	if owner.Account != "" {
		if err := checkOwner(owner); err != nil {
			return 0, err
		}
	}
	deleted, err := v.records.Delete(ctx, owner)
	if err != nil {
		return 0, away("deleting credentials", err)
	}
	v.log.InfoContext(ctx, "credentials deleted", "context", owner.Context, "user", owner.User,
		"account", owner.Account, "count", deleted)
	return deleted, nil
}

// away is a store that did not do as asked: another try may find it well again.
func away(doing string, err error) error {
	return fault.Wrap(fault.Unavailable, fmt.Errorf("%s: %w", doing, err), "the credential store is not available")
}

// checkOwner refuses account names that the SQL engines would not store alike.
// Users are checked where requests are.
func checkOwner(owner seal.Owner) error { return checkText("account", owner.Account) }

func checkText(field, text string) error {
	if text == "" {
		return fault.Field(field, "must not be empty")
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			return fault.Field(field, "must be printable ASCII")
		}
	}
	if text[0] == ' ' || text[len(text)-1] == ' ' {
		return fault.Field(field, "must not begin or end with a space")
	}
	return nil
}
