// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

const (
	olderKey      = "whsec_b2xkZXIgb2xkZXIgb2xkZXIgb2xkZXI="
	asymmetricKey = "whsk_QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
	newerSeedKey  = "whsk_Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0M="
)

// verify checks one signature of a request as a receiver does that knows the secret,
// or the public half of one that has halves.
func verify(t *testing.T, key, signature string, r request) bool {
	t.Helper()
	content := fmt.Appendf(nil, "%s.%s.%s", r.header.Get("webhook-id"), r.header.Get("webhook-timestamp"), r.body)
	version, encoded, _ := strings.Cut(signature, ",")
	sum, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		t.Fatalf("signature %q: %v", signature, err)
	}
	kind, text, _ := strings.Cut(key, "_")
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "whsk" {
		public := ed25519.NewKeyFromSeed(raw).Public().(ed25519.PublicKey) //nolint:errcheck // a panic is a failure
		return version == "v1a" && ed25519.Verify(public, content, sum)
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write(content)
	return version == "v1" && hmac.Equal(mac.Sum(nil), sum)
}

// Each secret in force gives one signature, in the order of the secrets, so that a
// receiver may know either of them.
func TestEachSecretSigns(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{})
	for _, keys := range [][]string{
		{key}, {asymmetricKey}, {key, olderKey}, {newerSeedKey, asymmetricKey}, {asymmetricKey, olderKey}, {key, asymmetricKey},
	} {
		p := push(url)
		p.Secret = secret.New(strings.Join(keys, " "))
		if result := c.Send(t.Context(), p); result.Class != transport.OK {
			t.Fatalf("result %+v", result)
		}
		got := <-requests
		signatures := strings.Split(got.header.Get("webhook-signature"), " ")
		if len(signatures) != len(keys) {
			t.Fatalf("%d signatures by %d secrets", len(signatures), len(keys))
		}
		changed := request{got.header, append(bytes.Clone(got.body), ' ')}
		for i, signature := range signatures {
			for j, key := range keys {
				if verify(t, key, signature, got) != (i == j) {
					t.Errorf("signature %d by secret %d of %d: want %v", i, j, len(keys), i == j)
				}
			}
			if verify(t, keys[i], signature, changed) {
				t.Errorf("signature %d accepts a changed body", i)
			}
		}
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	t.Parallel()
	c := client(t, webhook.Config{})
	for _, keys := range []string{
		"", " ", "hidden", "whsec_", "whsec_hidden!", "whsk_", "whsk_hidden!", "whpk_" + asymmetricKey[5:],
		"whsk_" + base64.StdEncoding.EncodeToString([]byte("hidden, and too short")),
		"whsk_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("h"), ed25519.PrivateKeySize)),
		key + " hidden", "hidden " + key, key + " " + olderKey + " " + asymmetricKey,
	} {
		p := push("http://127.0.0.1:1/")
		p.Secret = secret.New(keys)
		result := c.Send(t.Context(), p)
		if result.Class != transport.Misconfigured || !strings.Contains(result.Detail, "signing secret") {
			t.Errorf("%q: %+v", keys, result)
		}
		for word := range strings.FieldsSeq(keys) {
			if strings.Contains(result.Detail, strings.TrimLeft(word, "whseckp_")) && len(word) > 6 {
				t.Errorf("%q quotes a secret", result.Detail)
			}
		}
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add(key + " " + asymmetricKey)
	f.Add("whsk_")
	f.Add("whsec_====")
	f.Fuzz(func(t *testing.T, keys string) {
		p := push("http://192.0.2.1/") // never dialled
		p.Secret = secret.New(keys)
		c := webhook.New(webhook.Config{AllowHTTP: true})
		if result := c.Send(t.Context(), p); result.Class != transport.Misconfigured {
			t.Errorf("%+v", result)
		}
	})
}
