// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
	"mailpush.internal/services/credential-vault/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAudit remembers what it was told, or refuses.
type fakeAudit struct {
	mu      sync.Mutex
	entries []credential.Entry
	pruned  []time.Time
	err     error
}

func (f *fakeAudit) Write(_ context.Context, entries []credential.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, entries...)
	return f.err
}

func (f *fakeAudit) Prune(_ context.Context, before time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pruned = append(f.pruned, before)
	return f.err
}

func (f *fakeAudit) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeAudit) last() credential.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.entries) == 0 {
		return credential.Entry{}
	}
	return f.entries[len(f.entries)-1]
}

// bench is a vault on a memory store.
type bench struct {
	records *store.Memory
	audit   *fakeAudit
	ring    *seal.Keyring
}

func newBench(t *testing.T) *bench {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := &bench{records: store.NewMemory(log), audit: new(fakeAudit)}
	var err error
	cost := seal.Cost{MemoryKiB: 16, Passes: 1, Lanes: 1}
	if b.ring, err = credential.Unlock(t.Context(), b.records, secret.New("pass"), cost); err != nil {
		t.Fatal(err)
	}
	return b
}

// vault is one with other rules on the same store, running until the test ends.
func (b *bench) vault(t *testing.T, rules credential.Rules) *credential.Vault {
	t.Helper()
	v := b.idle(rules)
	run(t, v)
	return v
}

// idle is a vault that does not run yet.
func (b *bench) idle(rules credential.Rules) *credential.Vault {
	return credential.New(b.ring, b.records, b.audit, rules, slog.New(slog.DiscardHandler))
}

// run runs a vault until the test ends, or the function it returns is called.
func run(t *testing.T, v *credential.Vault) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// everything is allowed.
func everything() credential.Rules {
	return credential.Rules{StorePasswords: true, MasterUser: "master", MasterPassword: secret.New("m-pass")}
}

// sealOne seals a single credential.
func sealOne(t *testing.T, v *credential.Vault, o seal.Owner, c *vaultv1.Credential, above uint64) (uint64, error) {
	t.Helper()
	versions, err := v.Seal(t.Context(), []credential.Sealing{{Owner: o, Credential: c, Above: above}})
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

func owner() seal.Owner { return seal.Owner{Context: "1", User: "249", Account: "mail"} }
func purpose() credential.Purpose {
	return credential.Purpose{Caller: "listener-worker", Reason: "login"}
}

func password() *vaultv1.Credential {
	return &vaultv1.Credential{Kind: &vaultv1.Credential_Password{
		Password: &vaultv1.Password{Login: "alice", Password: "hunter22"},
	}}
}

func master() *vaultv1.Credential {
	return &vaultv1.Credential{Kind: &vaultv1.Credential_Master{Master: &vaultv1.Master{Login: "alice"}}}
}

func signing() *vaultv1.Credential {
	return &vaultv1.Credential{Kind: &vaultv1.Credential_SigningSecret{
		SigningSecret: &vaultv1.SigningSecret{Secret: "whsec_c2VjcmV0"},
	}}
}

func headers() *vaultv1.Credential {
	return &vaultv1.Credential{Kind: &vaultv1.Credential_Headers{Headers: &vaultv1.Headers{
		Origin: "https://hook.example:443", Headers: []*vaultv1.Header{{Name: "Authorization", Value: "Bearer t"}, {Name: "X-Key", Value: "k"}},
	}}}
}

func TestEachKindOpensAsWhatTheWorkerNeeds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sealed *vaultv1.Credential
		want   *vaultv1.OpenResponse
	}{
		"password": {password(), &vaultv1.OpenResponse{Kind: &vaultv1.OpenResponse_Login{
			Login: &vaultv1.Login{Username: "alice", Password: "hunter22"},
		}}},
		"master": {master(), &vaultv1.OpenResponse{Kind: &vaultv1.OpenResponse_Login{
			Login: &vaultv1.Login{AuthorizationId: "alice", Username: "master", Password: "m-pass"},
		}}},
		"signing secret": {signing(), &vaultv1.OpenResponse{Kind: &vaultv1.OpenResponse_SigningSecret{
			SigningSecret: &vaultv1.SigningSecret{Secret: "whsec_c2VjcmV0"},
		}}},
		"headers": {headers(), &vaultv1.OpenResponse{Kind: &vaultv1.OpenResponse_Headers{Headers: headers().GetHeaders()}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			v := b.vault(t, everything())
			version, err := sealOne(t, v, owner(), tt.sealed, 0)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Version = version
			got, err := v.Open(t.Context(), owner(), purpose())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			want := credential.Entry{Owner: owner(), Purpose: purpose(), Version: version, Outcome: "opened"}
			entry := b.audit.last()
			entry.At = time.Time{}
			if diff := cmp.Diff(want, entry); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRulesHoldWhenSealedAndWhenOpened(t *testing.T) {
	t.Parallel()
	noPasswords, noMaster := everything(), everything()
	noPasswords.StorePasswords = false
	noMaster.MasterUser = ""
	tests := map[string]struct {
		sealed *vaultv1.Credential
		rules  credential.Rules
		want   fault.Kind
	}{
		"password, storage off":       {password(), noPasswords, fault.Precondition},
		"master, none configured":     {master(), noMaster, fault.Precondition},
		"no kind":                     {new(vaultv1.Credential), everything(), fault.Invalid},
		"signing secret, storage off": {signing(), noPasswords, -1},
		"headers, storage off":        {headers(), noPasswords, -1},
		"master, storage off":         {master(), noPasswords, -1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			check := func(what string, err error) {
				if tt.want == -1 {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					return
				}
				if err == nil || fault.KindOf(err) != tt.want {
					t.Errorf("%s: got %v", what, err)
				}
			}
			_, err := sealOne(t, b.vault(t, tt.rules), owner(), tt.sealed, 0)
			check("sealing", err)
			if tt.want == fault.Invalid {
				return
			}
			// Sealed while it was allowed, opened when it is not any more.
			if _, err := sealOne(t, b.vault(t, everything()), owner(), tt.sealed, 0); err != nil {
				t.Fatal(err)
			}
			_, err = b.vault(t, tt.rules).Open(t.Context(), owner(), purpose())
			check("opening", err)
			if want := map[bool]string{true: "opened", false: "not allowed"}[err == nil]; b.audit.last().Outcome != want {
				t.Errorf("audited as %q, want %q", b.audit.last().Outcome, want)
			}
		})
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.vault(t, everything())
	if _, err := v.Open(t.Context(), owner(), purpose()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	if b.audit.last().Outcome != "not found" {
		t.Errorf("audited %+v", b.audit.last())
	}
	if deleted, err := v.Delete(t.Context(), owner()); err != nil || deleted != 0 {
		t.Errorf("deleted %d, %v", deleted, err)
	}
}

func TestVersionTellsWhetherItIsThereAndOpensNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.vault(t, everything())
	if version, err := v.Version(t.Context(), owner()); err != nil || version != 0 {
		t.Errorf("before: %d, %v", version, err)
	}
	sealed, err := sealOne(t, v, owner(), headers(), 0)
	if err != nil {
		t.Fatal(err)
	}
	other := owner()
	other.Account += "/2"
	for at, want := range map[seal.Owner]uint64{owner(): sealed, other: 0} {
		if version, err := v.Version(t.Context(), at); err != nil || version != want {
			t.Errorf("%s: %d, %v, want %d", at.Account, version, err, want)
		}
	}
	if len(b.audit.entries) != 0 {
		t.Errorf("audited %+v", b.audit.entries)
	}
	other.Account = "no\tname"
	if _, err := v.Version(t.Context(), other); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

// A login is replaced by one in another slot, sealed by a replica whose clock is behind.
func TestVersionGrowsFromAccountToAccount(t *testing.T) {
	t.Parallel()
	v := newBench(t).vault(t, everything())
	ahead := uint64(time.Now().Add(time.Hour).UnixMicro())
	next := owner()
	next.Account += "/7"
	first, err := sealOne(t, v, next, password(), ahead)
	if err != nil || first != ahead+1 {
		t.Errorf("above %d: %d, %v", ahead, first, err)
	}
	if opened, err := v.Open(t.Context(), next, purpose()); err != nil || opened.GetVersion() != first {
		t.Errorf("opened %d, %v", opened.GetVersion(), err)
	}
	if second, err := sealOne(t, v, next, password(), 0); err != nil || second <= first {
		t.Errorf("sealed again: %d after %d, %v", second, first, err)
	}
}

func TestDeletedIsGone(t *testing.T) {
	t.Parallel()
	v := newBench(t).vault(t, everything())
	version, err := sealOne(t, v, owner(), password(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := v.Open(t.Context(), owner(), purpose()); err != nil || opened.GetVersion() != version {
		t.Errorf("opened %d, %v, sealed %d", opened.GetVersion(), err, version)
	}
	all := owner()
	all.Account = ""
	if deleted, err := v.Delete(t.Context(), all); err != nil || deleted != 1 {
		t.Errorf("deleted %d, %v", deleted, err)
	}
	if _, err := v.Open(t.Context(), owner(), purpose()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestMovedBoxIsDataLoss(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.vault(t, everything())
	if _, err := sealOne(t, v, owner(), password(), 0); err != nil {
		t.Fatal(err)
	}
	record, err := b.records.Get(t.Context(), owner())
	if err != nil {
		t.Fatal(err)
	}
	thief := seal.Owner{Context: "1", User: "666", Account: "mail"}
	if _, err := b.records.Put(t.Context(), []credential.Put{{Owner: thief, Sealed: record.Sealed, At: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Open(t.Context(), thief, purpose()); got != nil || fault.KindOf(err) != fault.DataLoss {
		t.Errorf("got %v, %v", got, err)
	}
	if b.audit.last().Outcome != "does not open" {
		t.Errorf("audited %+v", b.audit.last())
	}
}

func TestNothingOpensUnaudited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.vault(t, everything())
	if _, err := sealOne(t, v, owner(), password(), 0); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	b.audit.refuse(full)
	if got, err := v.Open(t.Context(), owner(), purpose()); got != nil || !errors.Is(err, full) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestTextsThatEnginesWouldNotStoreAlikeAreRefused(t *testing.T) {
	t.Parallel()
	v := newBench(t).vault(t, everything())
	for _, account := range []string{"", "a\x00b", "mail ", " mail", "häuschen", "a\nb"} {
		o := owner()
		o.Account = account
		if _, err := sealOne(t, v, o, password(), 0); fault.KindOf(err) != fault.Invalid {
			t.Errorf("account %q: %v", account, err)
		}
	}
	if _, err := v.Open(t.Context(), owner(), credential.Purpose{Reason: "log\ninjection"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("reason: %v", err)
	}
}

func TestAuditIsPrunedAtStartAndDaily(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b.audit.refuse(errors.New("database away")) // it goes on regardless
		ctx, cancel := context.WithTimeout(t.Context(), 49*time.Hour)
		defer cancel()
		if err := b.idle(everything()).Run(ctx); err != nil {
			t.Error(err)
		}
		var want []time.Time
		for day := range 3 {
			want = append(want, begin.Add(time.Duration(day)*24*time.Hour-credential.AuditLife))
		}
		if diff := cmp.Diff(want, b.audit.pruned); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWrongPassphraseSaysWhichSettingIsWrong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := credential.Unlock(t.Context(), b.records, secret.New("other"), seal.DefaultCost())
	if !errors.Is(err, seal.ErrPassphrase) || fault.KindOf(err) != fault.Precondition {
		t.Fatalf("got %v", err)
	}
}

func TestManyAreSealedAllOrNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v, other := b.vault(t, credential.Rules{MasterUser: "master", MasterPassword: secret.New("m-pass")}), owner()
	other.Account = "mail/2"
	for name, list := range map[string][]credential.Sealing{
		"a kind that is not allowed": {{Owner: owner(), Credential: master()}, {Owner: other, Credential: password()}},
		"an account twice":           {{Owner: owner(), Credential: master()}, {Owner: owner(), Credential: signing()}},
		"no account":                 {{Owner: owner(), Credential: master()}, {Credential: signing()}},
	} {
		if versions, err := v.Seal(t.Context(), list); err == nil {
			t.Errorf("%s: got %v", name, versions)
		}
		if version, err := v.Version(t.Context(), owner()); err != nil || version != 0 {
			t.Errorf("%s: the first one is stored as %d, %v", name, version, err)
		}
	}
	above := uint64(time.Now().Add(time.Hour).UnixMicro())
	versions, err := v.Seal(t.Context(), []credential.Sealing{{Owner: other, Credential: signing(), Above: above}, {Owner: owner(), Credential: master()}})
	if err != nil || len(versions) != 2 || versions[0] <= above || versions[1] > above {
		t.Fatalf("got %v, %v", versions, err)
	}
	for i, o := range []seal.Owner{other, owner()} {
		if opened, err := v.Open(t.Context(), o, purpose()); err != nil || opened.GetVersion() != versions[i] {
			t.Errorf("%s: opened %v, %v", o.Account, opened, err)
		}
	}
}

// The operator may change the rules while the vault runs.
func TestRulesChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.vault(t, everything())
	if _, err := v.Seal(t.Context(), []credential.Sealing{{Owner: owner(), Credential: password()}}); err != nil {
		t.Fatal(err)
	}
	v.GoBy(credential.Rules{})
	if _, err := v.Open(t.Context(), owner(), purpose()); fault.KindOf(err) != fault.Precondition {
		t.Errorf("opened although passwords are not stored any more: %v", err)
	}
	v.GoBy(everything())
	if got, err := v.Open(t.Context(), owner(), purpose()); err != nil || got.GetLogin().GetPassword() != "hunter22" {
		t.Errorf("allowed again: %v", err)
	}
}
