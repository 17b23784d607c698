// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"mailpush.internal/pkg/secret"
)

// The parameters of new hashes: the second choice of RFC 9106 section 4, less the
// memory, which OWASP finds enough for logins and which a small machine can bear.
const (
	newMemory  = 19 * 1024 // KiB
	newTime    = 2
	newThreads = 1
	saltBytes  = 16
	keyBytes   = 32
)

// The parameters a hash in the configuration may have: more would let one login
// stall the process.
const (
	maxMemory  = 256 * 1024 // KiB
	maxTime    = 16
	maxThreads = 16
	maxBytes   = 64
	minBytes   = 8
)

// PasswordHash is an Argon2id hash of a password.
type PasswordHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// HashPassword makes a PHC string, $argon2id$v=19$..., with a fresh salt.
func HashPassword(password secret.String) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	h := PasswordHash{memory: newMemory, time: newTime, threads: newThreads, salt: salt, key: make([]byte, keyBytes)}
	h.key = h.derive(password)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.memory, h.time, h.threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

var errHash = errors.New("not an Argon2id hash in PHC form: $argon2id$v=19$m=KiB,t=N,p=N$salt$hash")

// ParsePasswordHash reads a PHC string as HashPassword makes it. Its error never
// shows the text.
func ParsePasswordHash(phc string) (PasswordHash, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return PasswordHash{}, errHash
	}
	var h PasswordHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return PasswordHash{}, errHash
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memory, h.time, h.threads) {
		return PasswordHash{}, errHash
	}
	var errSalt, errKey error
	h.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, errKey = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errSalt != nil || errKey != nil {
		return PasswordHash{}, errHash
	}
	return h, h.bounds()
}

func (h PasswordHash) bounds() error {
	switch {
	case h.memory < 8*uint32(h.threads) || h.memory > maxMemory:
		return fmt.Errorf("Argon2id memory must be at most %d KiB and at least 8 KiB a thread", maxMemory)
	case h.time < 1 || h.time > maxTime:
		return fmt.Errorf("Argon2id passes must be 1 to %d", maxTime)
	case h.threads < 1 || h.threads > maxThreads:
		return fmt.Errorf("Argon2id threads must be 1 to %d", maxThreads)
	case len(h.salt) < minBytes || len(h.salt) > maxBytes || len(h.key) < minBytes || len(h.key) > maxBytes:
		return fmt.Errorf("Argon2id salt and hash must be %d to %d bytes", minBytes, maxBytes)
	}
	return nil
}

func (h PasswordHash) derive(password secret.String) []byte {
	return argon2.IDKey([]byte(password.Reveal()), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
}

// matches compares in constant time.
func (h PasswordHash) matches(password secret.String) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}
