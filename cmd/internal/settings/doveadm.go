// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net/url"
	"os"

	"mailpush.internal/pkg/secret"
)

// What is asked of doveadm at most.
const (
	maxDoveadmAtOnce = 64
	maxReconcile     = 10_000
)

// validateDoveadm refuses a doveadm that could not be asked. Settings without a URL are
// none, and the others then say nothing.
func (s Store) validateDoveadm(p *problems, key string) {
	if s.ReconcilePerSecond > maxReconcile {
		p.add(key+".reconcilePerSecond", "%d: want at most %d", s.ReconcilePerSecond, maxReconcile)
	}
	d := s.Doveadm
	key += ".doveadm"
	if d.URL == "" {
		if d != (Doveadm{}) {
			p.add(key+".url", "is needed, like http://127.0.0.1:8080/doveadm/v1")
		}
		return
	}
	if s.BackendOrDefault() != BackendDovecot {
		p.add(key, "is for the backend dovecot, and this mail store's is %s", s.BackendOrDefault())
	}
	p.url(key+".url", d.URL, "http://host:port/doveadm/v1 or https://", func(u *url.URL) bool { return isWeb(u) && len(u.Path) > 1 })
	p.either(key+".apiKey", !d.APIKey.IsZero(), d.APIKeyFile)
	if d.APIKey.IsZero() && d.APIKeyFile == "" {
		p.add(key+".apiKeyFile", "is needed: the file with Dovecot's doveadm_api_key")
	}
	if d.Concurrency > maxDoveadmAtOnce {
		p.add(key+".concurrency", "%d: want at most %d", d.Concurrency, maxDoveadmAtOnce)
	}
	p.notNegative(key+".timeout", d.Timeout)
}

// DoveadmKeys reads the keys of all mail stores' doveadm, by the stores' names.
func (s *Settings) DoveadmKeys() (map[string]secret.String, error) {
	keys := make(map[string]secret.String)
	for name, store := range s.Mail.Stores {
		if store.Doveadm.URL == "" {
			continue
		}
		key, err := Secret(store.Doveadm.APIKey, store.Doveadm.APIKeyFile)
		if err != nil {
			return nil, fmt.Errorf("mail.stores.%s.doveadm.apiKeyFile: %w", name, err)
		}
		keys[name] = key
	}
	return keys, nil
}

// doveadmWords says what --check tells of a mail store's doveadm.
func (s Store) doveadmWords() string {
	u, err := url.Parse(s.Doveadm.URL)
	if s.Doveadm.URL == "" || err != nil {
		return ""
	}
	words := ", doveadm at " + u.Host
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		words += " in CLEAR TEXT, its key included"
	}
	if file := s.Doveadm.APIKeyFile; file != "" {
		if _, err := os.Stat(file); err != nil {
			words += "; its key cannot be read here, and workers do not start without it"
		}
	}
	return words
}
