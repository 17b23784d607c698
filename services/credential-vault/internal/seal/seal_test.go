// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mailpush.internal/pkg/secret"
)

const (
	passphrase = "correct horse"
	plainText  = "login: alice@example.org, password: hunter22"
)

func alice() Owner  { return Owner{Context: "1", User: "249", Account: "mail"} }
func plain() []byte { return []byte(plainText) }

func wrapped(tb testing.TB, id uint32, active bool) WrappedKey {
	tb.Helper()
	key, err := NewKey(id, active, secret.New(passphrase), Cost{MemoryKiB: 16, Passes: 1, Lanes: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func ring(tb testing.TB, keys ...WrappedKey) *Keyring {
	tb.Helper()
	k, err := Unlock(secret.New(passphrase), keys)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestSealedOpensForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	k := ring(t, wrapped(t, 1, true), wrapped(t, 2, false))
	sealed := k.Seal(alice(), plain())
	got, err := k.Open(alice(), sealed)
	if err != nil || !bytes.Equal(got, plain()) {
		t.Fatalf("got %q, %v", got, err)
	}
	others := map[string]struct {
		owner Owner
		key   uint32
	}{
		"another user":    {Owner{"1", "250", "mail"}, 1},
		"another context": {Owner{"2", "249", "mail"}, 1},
		"another account": {Owner{"1", "249", "webhook/1"}, 1},
		"shifted parts":   {Owner{"12", "49", "mail"}, 1},
		"another key":     {alice(), 2},
		"an unknown key":  {alice(), 3},
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := k.Open(other.owner, Sealed{other.key, sealed.Box}); !errors.Is(err, ErrBox) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Owners that are written alike are bound apart: each part has its length before it.
func TestOwnersThatAreWrittenAlikeAreApart(t *testing.T) {
	t.Parallel()
	bound := make(map[string]Owner)
	parts := []string{"a", "b@c", "a@b", "c", "b!c", "a!b", "A", "a@", "@b", "mail", "\x00\x00\x00\x01a", "webhook/1", "webhook", "1", "%40"}
	for _, context := range parts {
		for _, user := range parts {
			for _, account := range parts {
				owner := Owner{context, user, account}
				data := string(associated(owner, 1))
				if was, found := bound[data]; found {
					t.Fatalf("%q and %q are bound alike", was, owner)
				}
				bound[data] = owner
			}
		}
	}
}

func TestFlippedBitDoesNotOpen(t *testing.T) {
	t.Parallel()
	k := ring(t, wrapped(t, 1, true))
	sealed := k.Seal(alice(), plain())
	for bit := range len(sealed.Box) * 8 {
		box := bytes.Clone(sealed.Box)
		box[bit/8] ^= 1 << (bit % 8)
		if got, err := k.Open(alice(), Sealed{1, box}); !errors.Is(err, ErrBox) {
			t.Fatalf("bit %d flipped: got %q, %v", bit, got, err)
		}
	}
	for end := range sealed.Box {
		if got, err := k.Open(alice(), Sealed{1, sealed.Box[:end]}); !errors.Is(err, ErrBox) {
			t.Fatalf("cut at %d: got %q, %v", end, got, err)
		}
	}
}

func TestBoxTellsNothing(t *testing.T) {
	t.Parallel()
	k := ring(t, wrapped(t, 1, true))
	first, second := k.Seal(alice(), plain()), k.Seal(alice(), plain())
	if bytes.Equal(first.Box, second.Box) {
		t.Error("the same text gives the same box: the nonce is not fresh")
	}
	if bytes.Contains(first.Box, plain()[:8]) {
		t.Error("the box holds clear text")
	}
	if a, b := k.Seal(alice(), []byte("a")), k.Seal(alice(), []byte("a long password")); len(a.Box) != len(b.Box) {
		t.Errorf("the box tells the length: %d, %d", len(a.Box), len(b.Box))
	}
}

func TestOldKeysStillOpen(t *testing.T) {
	t.Parallel()
	first := wrapped(t, 1, true)
	old := ring(t, first).Seal(alice(), plain())
	first.Active = false
	k := ring(t, first, wrapped(t, 2, true))
	if got, err := k.Open(alice(), old); err != nil || !bytes.Equal(got, plain()) {
		t.Errorf("got %q, %v", got, err)
	}
	if fresh := k.Seal(alice(), plain()); fresh.Key != 2 {
		t.Errorf("sealed with key %d, which is not active", fresh.Key)
	}
}

func TestUnlockRefuses(t *testing.T) {
	t.Parallel()
	good := wrapped(t, 1, true)
	renamed, altered, formatted, dear := good, good, good, good
	renamed.ID = 2
	altered.Box = bytes.Clone(good.Box)
	altered.Box[len(altered.Box)-1] ^= 1
	formatted.Box = append([]byte{9}, good.Box[1:]...)
	dear.KDF.cost.MemoryKiB = maxMemoryKiB + 1
	tests := map[string]struct {
		passphrase string
		keys       []WrappedKey
		want       string
	}{
		"a wrong passphrase": {"correct mule", []WrappedKey{good}, ErrPassphrase.Error()},
		"no passphrase":      {"", []WrappedKey{good}, ErrPassphrase.Error()},
		"a renamed key":      {passphrase, []WrappedKey{renamed}, ErrPassphrase.Error()},
		"an altered key":     {passphrase, []WrappedKey{altered}, ErrPassphrase.Error()},
		"an unknown format":  {passphrase, []WrappedKey{formatted}, "unknown format"},
		"an absurd cost":     {passphrase, []WrappedKey{dear}, "cost too much"},
		"no key":             {passphrase, nil, "no data key is active"},
		"two active keys":    {passphrase, []WrappedKey{good, wrapped(t, 3, true)}, "both active"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Unlock(secret.New(tt.passphrase), tt.keys)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestKeyringDoesNotPrintItsKeys(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	k := ring(t, wrapped(t, 1, true))
	slog.New(slog.NewTextHandler(&log, nil)).Info("ring", "ring", k)
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v", k, k), log.String()} {
		if !strings.Contains(text, "keyring of 1 keys") || strings.Contains(text, "0x") {
			t.Errorf("printed %s", text)
		}
	}
}

// Whatever lies in the database opens only if it was sealed there.
func FuzzOpenRefusesWhatItDidNotSeal(f *testing.F) {
	k := ring(f, wrapped(f, 1, true))
	sealed := k.Seal(alice(), plain())
	f.Add("1", "249", "mail", uint32(1), sealed.Box)
	f.Add("1", "250", "mail", uint32(1), sealed.Box)
	f.Add("", "", "", uint32(0), []byte{format})
	f.Fuzz(func(t *testing.T, context, user, account string, key uint32, box []byte) {
		owner := Owner{context, user, account}
		got, err := k.Open(owner, Sealed{key, box})
		if owner == alice() && key == 1 && bytes.Equal(box, sealed.Box) {
			if err != nil || !bytes.Equal(got, plain()) {
				t.Fatalf("what was sealed does not open: %v", err)
			}
			return
		}
		if !errors.Is(err, ErrBox) {
			t.Fatalf("it opened: %q, %v", got, err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	k := ring(f, wrapped(f, 1, true))
	f.Add("1", "249", "mail", plain())
	f.Add("", "", "", []byte{padding, 0, 0})
	f.Add("1", "2", "3", bytes.Repeat([]byte{0}, block))
	f.Fuzz(func(t *testing.T, context, user, account string, text []byte) {
		owner := Owner{context, user, account}
		got, err := k.Open(owner, k.Seal(owner, text))
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("sealed %q, opened %q, %v", text, got, err)
		}
		other := Owner{context + user, "", account}
		if other == owner {
			return
		}
		if _, err := k.Open(other, k.Seal(owner, text)); !errors.Is(err, ErrBox) {
			t.Fatalf("it opened for %v", other)
		}
	})
}

func FuzzParseKDF(f *testing.F) {
	f.Add(newKDF(DefaultCost()).String())
	f.Add("$argon2id$v=19$m=65536,t=3,p=2$")
	f.Add("$argon2i$v=19$m=1,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA")
	f.Fuzz(func(t *testing.T, text string) {
		kdf, err := ParseKDF(text)
		if err != nil {
			return
		}
		if kdf.String() != text || kdf.check() != nil {
			t.Errorf("read %s from %s", kdf, text)
		}
	})
}

func BenchmarkUnlock(b *testing.B) {
	key, err := NewKey(1, true, secret.New(passphrase), DefaultCost())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Unlock(secret.New(passphrase), []WrappedKey{key}); err != nil {
			b.Fatal(err)
		}
	}
}
