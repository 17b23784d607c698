// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mailpush.internal/pkg/secret"
)

// The kinds of signing secrets, as Standard Webhooks marks them.
const (
	symmetricPrefix  = "whsec_" // v1: HMAC-SHA256; the receiver knows the secret too
	asymmetricPrefix = "whsk_"  // v1a: ed25519; the receiver knows the public half only
)

// maxSecrets are the secrets in force while one follows another.
const maxSecrets = 2

var (
	errSecret  = errors.New("the signing secret is neither whsec_ and base64 nor whsk_ and the base64 of a 32-byte seed")
	errSecrets = errors.New("there are not one or two signing secrets")
)

// sign sets the three headers of Standard Webhooks. keys holds one secret, or two
// with a space between them while receivers change from one to the other, the newest
// first; each gives one signature over id.timestamp.body.
func sign(header http.Header, keys secret.String, id string, at time.Time, body []byte) error {
	secrets := strings.Fields(keys.Reveal())
	if len(secrets) == 0 || len(secrets) > maxSecrets {
		return errSecrets
	}
	content := fmt.Appendf(nil, "%s.%d.%s", id, at.Unix(), body)
	signatures := make([]string, 0, maxSecrets)
	for _, key := range secrets {
		signature, err := signWith(key, content)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set("Webhook-Signature", strings.Join(signatures, " "))
	return nil
}

// signWith makes the signature of one secret. Its errors do not quote it.
func signWith(key string, content []byte) (string, error) {
	if encoded, found := strings.CutPrefix(key, symmetricPrefix); found {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) == 0 {
			return "", errSecret
		}
		mac := hmac.New(sha256.New, raw)
		_, _ = mac.Write(content) // a hash takes everything
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
	}
	encoded, found := strings.CutPrefix(key, asymmetricPrefix)
	seed, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(seed) != ed25519.SeedSize {
		return "", errSecret
	}
	sum := ed25519.Sign(ed25519.NewKeyFromSeed(seed), content)
	return "v1a," + base64.StdEncoding.EncodeToString(sum), nil
}
