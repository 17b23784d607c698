// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// firstKey is the id of the key that the first start makes.
const firstKey = 1

// Keys keeps the wrapped data keys.
type Keys interface {
	// AnySealed tells whether anything is stored that was sealed with a data key.
	AnySealed(ctx context.Context) (bool, error)
	// Keys returns all of them.
	Keys(ctx context.Context) ([]seal.WrappedKey, error)
	// AddKey stores a key, unless there is one of the same id: the first one stays.
	AddKey(ctx context.Context, key seal.WrappedKey) error
}

// ErrKeysLost means that credentials are stored, and none of the keys they were sealed with.
var ErrKeysLost = errors.New("there are credentials, but no data key")

// Unlock opens the stored data keys; the first start makes one. Replicas may start
// together: the key that was stored first is everybody's. A passphrase that is not
// the one of the stored keys is a Precondition, and so are credentials without any key: a
// new one would open none of them. The vault must not start.
//
// Credentials are looked for before keys. A replica stores its key before it seals with it:
// who sees a credential of one that starts at the same time sees its key afterwards. So this
// needs no lock.
func Unlock(ctx context.Context, keys Keys, passphrase secret.String, cost seal.Cost) (*seal.Keyring, error) {
	sealed, err := keys.AnySealed(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for credentials: %w", err)
	}
	stored, err := keys.Keys(ctx)
	if err == nil && len(stored) == 0 && sealed {
		return nil, fault.Wrap(fault.Precondition, ErrKeysLost, "the vault's database has credentials, but its table "+
			"vault_keys is empty, and a new key would open none of them; restore vault_keys from the backup "+
			"(docs/backup.md); nothing was changed")
	}
	if err == nil && len(stored) == 0 {
		stored, err = makeFirst(ctx, keys, passphrase, cost)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the data keys: %w", err)
	}
	ring, err := seal.Unlock(passphrase, stored)
	if errors.Is(err, seal.ErrPassphrase) {
		return nil, fault.Wrap(fault.Precondition, err, "push.credstorage.passcrypt: this is not the passphrase "+
			"the stored credentials were sealed with; nothing was changed")
	}
	if err != nil {
		return nil, fmt.Errorf("unlocking the data keys: %w", err)
	}
	return ring, nil
}

func makeFirst(ctx context.Context, keys Keys, passphrase secret.String, cost seal.Cost) ([]seal.WrappedKey, error) {
	key, err := seal.NewKey(firstKey, true, passphrase, cost)
	if err != nil {
		return nil, err
	}
	if err := keys.AddKey(ctx, key); err != nil {
		return nil, err
	}
	return keys.Keys(ctx)
}
