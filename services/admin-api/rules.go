// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/edge"
)

// rules are what the configuration says that may be read again, as the service works with
// it. They do not change: a configuration that is read again makes others.
type rules struct {
	edge.Rules

	auth    *auth.Authenticator
	origins []string
	print   string // tells one policy from the next
}

// newRules judges a configuration. Callers who were wrong under the rules before are not
// forgiven; before may be nil.
func newRules(c Config, before *rules) (*rules, error) {
	r := &rules{
		origins: c.AllowedOrigins,
		Rules: edge.Rules{
			Policy: decide.Policy{
				AllowPermanentPush: c.AllowPermanentPush, AllowedClients: c.AllowedClients,
				CredStorage: c.CredStorage, MasterUser: c.PasswordSourceGlobal,
				PermanentBackends: c.PermanentBackends, Stores: make(map[string]string, len(c.Stores)),
				Doveadm: make(map[string]string),
			},
			Stores: make(map[string]*mailv1.MailStore, len(c.Stores)), MasterLogins: c.MasterLogins,
			AllowHTTPWebhooks: c.AllowHTTPWebhooks,
		},
	}
	if c.PublicTLS == nil && !loopback(c.Public.Addr()) {
		return nil, fmt.Errorf("admin-api: the public address %s is not loopback: it needs TLS, for callers show passwords",
			c.Public.Addr())
	}
	for _, m := range c.Stores {
		if err := r.addStore(c, m); err != nil {
			return nil, fmt.Errorf("admin-api: %w", err)
		}
	}
	var err error
	if before == nil {
		r.auth, err = auth.New(c.Admins, c.Applications)
	} else {
		r.auth, err = before.auth.With(c.Admins, c.Applications)
	}
	if err == nil {
		r.print, err = fingerprint(r.Rules)
	}
	if err != nil {
		return nil, fmt.Errorf("admin-api: %w", err)
	}
	return r, nil
}

func (r *rules) addStore(c Config, m *mailv1.MailStore) error {
	name := m.GetName()
	if _, twice := r.Stores[name]; twice || name == "" {
		return fmt.Errorf("the name of mail store %q is empty or given twice", name)
	}
	if m.GetBackend() == "" {
		return fmt.Errorf("mail store %q names no backend", name)
	}
	if m.GetDoveadm() != nil {
		r.Policy.Doveadm[name] = c.MasterLogins[name]
	}
	if (c.PasswordSourceGlobal || m.GetDoveadm() != nil) && !strings.Contains(c.MasterLogins[name], "{user}") {
		return fmt.Errorf("mail store %q needs the login of a user for the master user or doveadm", name)
	}
	r.Stores[name] = m
	r.Policy.Stores[name] = m.GetBackend()
	return nil
}

// fingerprint tells one policy from the next: all that the listing of a shard depends on
// beside the registry. Two replicas with the same configuration come to the same.
func fingerprint(r edge.Rules) (string, error) {
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(r.Policy); err != nil { //nolint:musttag // maps in the order of their keys; nobody reads it
		return "", fmt.Errorf("telling policies apart: %w", err)
	}
	for _, name := range r.Policy.StoreNames() {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(r.Stores[name])
		if err != nil {
			return "", fmt.Errorf("telling policies apart: %w", err)
		}
		fmt.Fprintf(hash, "%d ", len(text))
		hash.Write(text)
	}
	const letters = 16 // 80 bits
	return strings.ToLower(base32.StdEncoding.EncodeToString(hash.Sum(nil))[:letters]), nil
}

// moved tells whether a mail store has another backend under the other rules, or is new.
func (r *rules) moved(to *rules) bool {
	for store, backend := range to.Policy.Stores {
		if r.Policy.Stores[store] != backend {
			return true
		}
	}
	return false
}
