// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"crypto/rand"
	"encoding/base32"
	"net/url"
	"strconv"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Webhook is where the pushes of a subscription go.
type Webhook struct {
	URL    string
	Secret secret.String // zero: one is made
	Scheme registry.Scheme
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

// newID names a subscription: 128 random bits, so that ids cannot be guessed.
func newID() string {
	return "sub_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random(16)))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the program ends when the system has no randomness
	return b
}
