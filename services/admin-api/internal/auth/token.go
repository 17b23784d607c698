// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"mailpush.internal/pkg/secret"
)

// TokenHash is the SHA-256 of an application's token. Tokens are random and long,
// so no salt or slow hash is needed to keep them from being guessed.
type TokenHash [sha256.Size]byte

// HashToken makes the hexadecimal form of a token's hash.
func HashToken(token secret.String) string {
	sum := hashToken(token.Reveal())
	return hex.EncodeToString(sum[:])
}

func hashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

var errToken = errors.New("not the hexadecimal SHA-256 of a token")

// ParseTokenHash reads what HashToken makes. Its error never shows the text.
func ParseTokenHash(text string) (TokenHash, error) {
	var h TokenHash
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(h) {
		return h, errToken
	}
	copy(h[:], raw)
	return h, nil
}
