// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// The forms of secrets and keys in Standard Webhooks.
const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
	secretMin     = 24
	secretMax     = 64
	secretMade    = 32
)

// Keys sign the pushes of a subscription, and verify them.
type Keys struct {
	Made   secret.String // the secret of v1, when it was made here: to be shown once
	Public string        // the public key of v1a
	sealed secret.String // what the worker signs with
}

// checkSecret refuses a signing secret that is not of the form of Standard Webhooks,
// and one where none can be brought. Zero means that one is to be made.
func checkSecret(field string, scheme registry.Scheme, given secret.String) error {
	switch {
	case given.IsZero():
		return nil
	case scheme == registry.SchemeV1a:
		return fault.Field(field, "must be left out: the key pair of v1a is made here")
	}
	text, ok := strings.CutPrefix(given.Reveal(), secretPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(raw) < secretMin || len(raw) > secretMax {
		return fault.Field(field, "must be %s and the base64 of %d to %d bytes", secretPrefix, secretMin, secretMax)
	}
	return nil
}

// newKeys makes what is not given.
func newKeys(scheme registry.Scheme, given secret.String) Keys {
	switch {
	case scheme == registry.SchemeV1a:
		seed := random(ed25519.SeedSize)
		public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		return Keys{Public: encoded(publicPrefix, public), sealed: secret.New(encoded(privatePrefix, seed))}
	case given.IsZero():
		given = secret.New(encoded(secretPrefix, random(secretMade)))
		return Keys{Made: given, sealed: given}
	}
	return Keys{sealed: given}
}

func encoded(prefix string, raw []byte) string {
	return prefix + base64.StdEncoding.EncodeToString(raw)
}
