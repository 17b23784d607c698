// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"mailpush.internal/pkg/imaptest"
)

// trustVariable names the file whose certificates Go programs on Linux trust instead of the
// system's.
const trustVariable = "SSL_CERT_FILE"

// certificates are what origins with TLS show: a good one and, for a while, one of those
// that are no good.
type certificates struct {
	trusted []byte // PEM
	good    tls.Certificate

	mu     sync.Mutex
	random *rand.Rand
	bad    []tls.Certificate // for another name, expired, of an unknown authority
}

// newCertificates makes some for the hosts.
func newCertificates(seed uint64, hosts ...string) (*certificates, error) {
	const valid = 24 * time.Hour
	c := &certificates{random: rand.New(rand.NewPCG(seed, seed))}
	for n, kind := range []struct {
		valid   time.Duration
		hosts   []string
		trusted bool
	}{
		{valid, hosts, true},
		{valid, []string{"elsewhere.example"}, true},
		{-time.Minute, hosts, true},
		{valid, hosts, false},
	} {
		made, err := imaptest.NewCertificate(kind.valid, kind.hosts...)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(made.Cert, made.Key)
		if err != nil {
			return nil, fmt.Errorf("making a certificate: %w", err)
		}
		if kind.trusted {
			c.trusted = bytes.Join([][]byte{c.trusted, made.Cert}, nil)
		}
		if n == 0 {
			c.good = pair
		} else {
			c.bad = append(c.bad, pair)
		}
	}
	return c, nil
}

// tls is how an origin shows the good one, or for as long as isBad says so another one, of
// which told is told.
func (c *certificates) tls(isBad func() bool, told func()) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !isBad() {
				return &c.good, nil
			}
			told()
			c.mu.Lock()
			defer c.mu.Unlock()
			return &c.bad[c.random.IntN(len(c.bad))], nil
		},
	}
}

// write writes those that are to be trusted, and returns the environment of a program that
// does.
func (c *certificates) write(path string) ([]string, error) {
	if err := os.WriteFile(path, c.trusted, 0o600); err != nil {
		return nil, err
	}
	return append(os.Environ(), trustVariable+"="+path), nil
}
