// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"mailpush.internal/pkg/secret"
)

const (
	saltBytes = 16

	// What a stored KDF may ask for at most: whoever can write to the database
	// shall not make the vault allocate everything there is.
	maxMemoryKiB = 1 << 20
	maxPasses    = 32
	maxSaltBytes = 64
)

// Cost is what one guess at the passphrase costs an attacker, and a start of the
// vault costs us.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// DefaultCost is about a tenth of a second: the second choice of RFC 9106 section 4,
// for two cores.
func DefaultCost() Cost { return Cost{MemoryKiB: 64 << 10, Passes: 3, Lanes: 2} }

// KDF is how a passphrase becomes a key-encryption key: Argon2id with a salt. It is
// not secret and is stored beside the key it wraps.
type KDF struct {
	cost Cost
	salt []byte
}

func newKDF(cost Cost) KDF {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // it never fails, the process would end
	return KDF{cost: cost, salt: salt}
}

// String is the form that is stored: $argon2id$v=19$m=65536,t=3,p=2$<salt>.
func (k KDF) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s", argon2.Version,
		k.cost.MemoryKiB, k.cost.Passes, k.cost.Lanes, base64.RawStdEncoding.EncodeToString(k.salt))
}

// ParseKDF reads what String wrote, and refuses what is weaker or dearer than makes sense.
func ParseKDF(text string) (KDF, error) {
	var k KDF
	parts := strings.Split(text, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return KDF{}, fmt.Errorf("reading how a key is derived: it is not argon2id version %d", argon2.Version)
	}
	_, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &k.cost.MemoryKiB, &k.cost.Passes, &k.cost.Lanes)
	if err != nil {
		return KDF{}, fmt.Errorf("reading the cost of deriving a key: %w", err)
	}
	if k.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return KDF{}, fmt.Errorf("reading the salt of a key: %w", err)
	}
	if k.String() != text {
		return KDF{}, fmt.Errorf("reading how a key is derived: not in the form of %s", k)
	}
	return k, k.check()
}

func (k KDF) check() error {
	switch {
	case k.cost.Lanes == 0 || k.cost.Passes == 0 || k.cost.MemoryKiB < 8*uint32(k.cost.Lanes):
		return fmt.Errorf("deriving a key: Argon2id has no parameters %+v", k.cost)
	case k.cost.MemoryKiB > maxMemoryKiB || k.cost.Passes > maxPasses:
		return fmt.Errorf("deriving a key: the parameters %+v cost too much", k.cost)
	case len(k.salt) < saltBytes || len(k.salt) > maxSaltBytes:
		return fmt.Errorf("deriving a key: a salt of %d bytes", len(k.salt))
	}
	return nil
}

// derive makes the key-encryption key.
func (k KDF) derive(passphrase secret.String) (cipher.AEAD, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	key := argon2.IDKey([]byte(passphrase.Reveal()), k.salt, k.cost.Passes, k.cost.MemoryKiB, k.cost.Lanes, keyBytes)
	return aead(key)
}
