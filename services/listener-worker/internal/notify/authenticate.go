// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"mailpush.internal/pkg/secret"
)

// Login is a name and a password. The zero value lets nobody in.
type Login struct {
	Name     string
	Password secret.String
}

// matches tells whether a request brings the login, in a time that says nothing of it.
func (l Login) matches(r *http.Request) bool {
	name, password, brought := r.BasicAuth()
	wantName, wantPassword := sha256.Sum256([]byte(l.Name)), sha256.Sum256([]byte(l.Password.Reveal()))
	gotName, gotPassword := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(password))
	same := subtle.ConstantTimeCompare(wantName[:], gotName[:]) & subtle.ConstantTimeCompare(wantPassword[:], gotPassword[:])
	return brought && !l.Password.IsZero() && same == 1
}

// authenticate answers a request that may not be served, and says what it was.
func (e *Endpoint) authenticate(w http.ResponseWriter, r *http.Request, now time.Time) result {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return "" // its certificate is of the authority that the operator has named
	}
	from := network(r.RemoteAddr)
	if e.strikes.out(from, now) {
		return answer(w, http.StatusTooManyRequests, limited, "too many wrong logins from this address")
	}
	if e.cfg.Login().matches(r) {
		return ""
	}
	e.strikes.note(from, now)
	w.Header().Set("WWW-Authenticate", `Basic realm="mailpush"`)
	return answer(w, http.StatusUnauthorized, unauthorized, "wrong login")
}

const (
	// strikesAllowed is how often in a row an address may be wrong, and strikeEvery how
	// soon it may once more.
	strikesAllowed = 10
	strikeEvery    = 6 * time.Second
	// maxAddresses bounds the memory that strangers can fill, in each of two generations.
	maxAddresses = 5000
)

// strikes counts wrong logins by address. The zero value is ready.
type strikes struct {
	mu         sync.Mutex
	young, old map[netip.Prefix]time.Time // until when an address has used up what it may
}

// out tells whether an address has to wait.
func (s *strikes) out(from netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until(from).Sub(now) > (strikesAllowed-1)*strikeEvery
}

// note counts one more.
func (s *strikes) note(from netip.Prefix, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.until(from)
	if until.Before(now) {
		until = now
	}
	if s.young == nil || len(s.young) >= maxAddresses {
		s.old, s.young = s.young, make(map[netip.Prefix]time.Time)
	}
	s.young[from] = until.Add(strikeEvery)
}

func (s *strikes) until(from netip.Prefix) time.Time {
	if until, known := s.young[from]; known {
		return until
	}
	return s.old[from]
}

// network is the address of who calls, of IPv6 the network that one customer has.
func network(address string) netip.Prefix {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if ip := at.Addr().Unmap(); ip.Is6() {
		bits = 64
	}
	prefix, err := at.Addr().Unmap().WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
