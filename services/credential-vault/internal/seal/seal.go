// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package seal is the vault's cryptography, and nothing else: it seals a credential
// so that it opens only with the operator's passphrase and only as what it was
// sealed for. Invariants: every box is AES-256-GCM under a data key with a fresh
// random nonce; its associated data is the format, the owner and the key id, so a box
// copied to another row does not open; data keys leave the process only wrapped.
//
// A passphrase becomes a key-encryption key by Argon2id (RFC 9106), which wraps the
// data keys; credentials are sealed with the active data key. A new passphrase means
// wrapping the keys again, a new data key means sealing boxes again one by one while
// the old one still opens: a [Keyring] holds any number of keys.
//
// It is built on the standard library and not on Tink: the one mistake that is easy
// to make with bare AES-GCM, a repeated nonce, is taken away by
// cipher.NewGCMWithRandomNonce, and what Tink would add, keysets, is twenty lines here,
// readable in SQL and without a second encoding of the same key.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
)

var (
	// ErrPassphrase means the passphrase is not the one the keys were wrapped with.
	ErrPassphrase = errors.New("the passphrase does not open the data keys")
	// ErrBox means a box was altered, cut short, or moved from another owner or key.
	ErrBox = errors.New("the sealed credential does not open as what it is stored for")
)

const (
	// format is the first byte of each box; another construction gets another one.
	format = 1
	// block is what plain texts are padded to, so that a box does not tell how long
	// a password is.
	block = 64
	// padding ends the plain text; zeros follow it.
	padding = 0x80
)

// Owner is what a credential belongs to. It is bound to the box.
type Owner struct {
	Context, User, Account string
}

// Sealed is a credential that nobody without the passphrase can read.
type Sealed struct {
	Key uint32 // the data key it was sealed with
	Box []byte
}

// Keyring holds the data keys in clear. It never prints them, is immutable and safe
// for concurrent use. A data key may seal 2^32 boxes (NIST SP 800-38D, random nonces).
type Keyring struct {
	active uint32
	keys   map[uint32]cipher.AEAD
}

// Seal seals a plain text for its owner with the active key.
func (k *Keyring) Seal(owner Owner, plain []byte) Sealed {
	box := k.keys[k.active].Seal([]byte{format}, nil, pad(plain), associated(owner, k.active)) //nolint:gosec // G407: the AEAD makes the nonce, this is the prefix
	return Sealed{Key: k.active, Box: box}
}

// Open returns the plain text of what was sealed for owner, or [ErrBox].
func (k *Keyring) Open(owner Owner, s Sealed) ([]byte, error) {
	key, ok := k.keys[s.Key]
	if !ok {
		return nil, fmt.Errorf("opening a box of key %d, which this vault does not have: %w", s.Key, ErrBox)
	}
	if len(s.Box) == 0 || s.Box[0] != format {
		return nil, fmt.Errorf("opening a box of an unknown format: %w", ErrBox)
	}
	padded, err := key.Open(nil, nil, s.Box[1:], associated(owner, s.Key))
	if err != nil {
		return nil, ErrBox // the cause is a constant that says less
	}
	return unpad(padded)
}

// String implements [fmt.Stringer] and tells how many keys there are.
func (k *Keyring) String() string { return fmt.Sprintf("keyring of %d keys", len(k.keys)) }

// GoString implements [fmt.GoStringer]: %#v must not show the keys either.
func (k *Keyring) GoString() string { return k.String() }

// LogValue implements [slog.LogValuer].
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }

// associated is what a box is bound to. Each part has its length before it, so that
// no two owners give the same bytes.
func associated(owner Owner, key uint32) []byte {
	data := []byte("mailpush credential")
	data = append(data, format)
	for _, part := range []string{owner.Context, owner.User, owner.Account} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part)))
		data = append(data, part...)
	}
	return binary.BigEndian.AppendUint32(data, key)
}

// aead is AES-256-GCM that puts a fresh random nonce before each box.
func aead(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

func pad(plain []byte) []byte {
	padded := make([]byte, (len(plain)/block+1)*block)
	padded[copy(padded, plain)] = padding
	return padded
}

// unpad is called on authentic text only, so there is no oracle in its refusal.
func unpad(padded []byte) ([]byte, error) {
	end := len(padded) - 1
	for end >= 0 && padded[end] == 0 {
		end--
	}
	if end < 0 || padded[end] != padding {
		return nil, ErrBox
	}
	return padded[:end], nil
}
