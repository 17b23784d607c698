// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"mailpush.internal/pkg/secret"
)

const (
	successTime  = 5 * time.Minute
	maxSuccesses = 1024
)

// successes remembers for a while which name and password were right, so that not
// every call pays for Argon2. It keeps keyed hashes only, under a key that lives
// and dies with the process. It is safe for concurrent use.
type successes struct {
	key   []byte
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

func newSuccesses() *successes {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &successes{key: key, until: make(map[[sha256.Size]byte]time.Time)}
}

func (s *successes) hash(name string, password secret.String) (out [sha256.Size]byte) {
	inner := sha256.Sum256([]byte(name)) // of fixed length, so that name and password cannot run into each other
	mac := hmac.New(sha256.New, s.key)
	mac.Write(inner[:])
	mac.Write([]byte(password.Reveal()))
	mac.Sum(out[:0])
	return out
}

func (s *successes) has(name string, password secret.String, now time.Time) bool {
	h := s.hash(name, password)
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until[h])
}

func (s *successes) add(name string, password secret.String, now time.Time) {
	h := s.hash(name, password)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.until) >= maxSuccesses {
		clear(s.until) // rather than keep order: to be forgotten costs one hash
	}
	s.until[h] = now.Add(successTime)
}
