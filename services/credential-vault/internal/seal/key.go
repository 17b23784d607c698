// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"mailpush.internal/pkg/secret"
)

const keyBytes = 32 // AES-256

// WrappedKey is a data key as it is stored: useless without the passphrase.
type WrappedKey struct {
	ID     uint32 // 1 for the first; never used twice
	Active bool   // the one that seals; the others only open
	KDF    KDF    // how the passphrase becomes the key that wraps this one
	Box    []byte
}

// NewKey makes a random data key and wraps it.
func NewKey(id uint32, active bool, passphrase secret.String, cost Cost) (WrappedKey, error) {
	kdf := newKDF(cost)
	kek, err := kdf.derive(passphrase)
	if err != nil {
		return WrappedKey{}, fmt.Errorf("wrapping data key %d: %w", id, err)
	}
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key)                                                                                          // it never fails, the process would end
	return WrappedKey{ID: id, Active: active, KDF: kdf, Box: kek.Seal([]byte{format}, nil, key, keyData(id))}, nil //nolint:gosec // G407: the AEAD makes the nonce, this is the prefix
}

// Unlock opens the data keys with the passphrase they were wrapped with. Exactly one
// of them must be active. A wrong passphrase is [ErrPassphrase].
func Unlock(passphrase secret.String, keys []WrappedKey) (*Keyring, error) {
	ring := &Keyring{keys: make(map[uint32]cipher.AEAD, len(keys))}
	for _, wrapped := range keys {
		key, err := wrapped.unwrap(passphrase)
		if err != nil {
			return nil, fmt.Errorf("opening data key %d: %w", wrapped.ID, err)
		}
		ring.keys[wrapped.ID] = key
		if !wrapped.Active {
			continue
		}
		if ring.active != 0 {
			return nil, fmt.Errorf("data keys %d and %d are both active", ring.active, wrapped.ID)
		}
		ring.active = wrapped.ID
	}
	if ring.active == 0 {
		return nil, errors.New("no data key is active")
	}
	return ring, nil
}

func (w WrappedKey) unwrap(passphrase secret.String) (cipher.AEAD, error) {
	if len(w.Box) == 0 || w.Box[0] != format {
		return nil, errors.New("it is wrapped in an unknown format")
	}
	kek, err := w.KDF.derive(passphrase)
	if err != nil {
		return nil, err
	}
	key, err := kek.Open(nil, nil, w.Box[1:], keyData(w.ID))
	if err != nil {
		return nil, ErrPassphrase
	}
	return aead(key)
}

// keyData binds a wrapped key to its id.
func keyData(id uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte("mailpush data key"), format), id)
}
