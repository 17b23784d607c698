// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
)

// Webhook is where the pushes of a subscription go.
type Webhook struct {
	URL    string
	Secret secret.String // zero: one is made
}

// CheckURL refuses what is not an absolute https URL, or an http one where allowed.
// Where the host points is checked when it is dialed, for that may change.
func CheckURL(raw string, allowHTTP bool) error {
	const field = "webhook.url"
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fault.Field(field, "not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fault.Field(field, "must be an absolute https URL")
	case u.Scheme == "http" && !allowHTTP:
		return fault.Field(field, "must be https; http is not allowed here")
	case u.Hostname() == "" || u.Opaque != "":
		return fault.Field(field, "has no host")
	case !validPort(u):
		return fault.Field(field, "has no valid port")
	case u.User != nil:
		return fault.Field(field, "must not carry user info")
	case strings.Contains(raw, "#"):
		return fault.Field(field, "must not carry a fragment")
	}
	return nil
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// The form of a signing secret in Standard Webhooks.
const (
	secretPrefix = "whsec_"
	secretMin    = 24
	secretMax    = 64
	secretMade   = 32
)

// CheckSecret refuses a signing secret that is not of the form of Standard Webhooks.
func CheckSecret(key secret.String) error {
	text, ok := strings.CutPrefix(key.Reveal(), secretPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(raw) < secretMin || len(raw) > secretMax {
		return fault.Field("webhook.secret", "must be %s and the base64 of %d to %d bytes", secretPrefix, secretMin, secretMax)
	}
	return nil
}

func newSecret() secret.String {
	return secret.New(secretPrefix + base64.StdEncoding.EncodeToString(random(secretMade)))
}

// newID names a subscription: 128 random bits, so that ids cannot be guessed.
func newID() string {
	return "sub_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random(16)))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the program ends when the system has no randomness
	return b
}
