// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"time"
)

// proofTimeout is how long the proof may take, which takes a millisecond.
const proofTimeout = 5 * time.Second

// prove releases the buffers of a connection in memory and looks whether it goes on: after
// a record that was read whole, and in the middle of one. It returns false for anything
// that is not as expected, a panic included.
func (f *fields) prove() (proven bool) {
	defer func() {
		if recover() != nil {
			proven = false
		}
	}()
	client, server, wire, err := pair()
	if err != nil {
		return false
	}
	deadline := time.AfterFunc(proofTimeout, func() { _ = wire.Close() })
	defer deadline.Stop()
	defer func() { _, _ = wire.Close(), server.NetConn().Close() }()
	words := bytes.Repeat([]byte("mailpush "), 1<<10)
	rawInput, _, _ := f.of(client)
	for _, hold := range []int{0, 3, 1 << 10} { // bytes of a record that come late
		wire.hold = hold
		sent := make(chan error, 1)
		go func() { _, err := server.Write(words); sent <- err }()
		got := make([]byte, len(words))
		for at := 0; at < len(got); {
			n, err := client.Read(got[at:])
			at += n
			if errors.Is(err, ErrNothingYet) {
				f.release(client)
				wire.hold = 0
				continue
			}
			if err != nil {
				return false
			}
		}
		if <-sent != nil || !bytes.Equal(got, words) || rawInput.Cap() == 0 {
			return false
		}
		if f.release(client); rawInput.Cap() != 0 {
			return false
		}
	}
	return true
}

// late is a connection whose reads end with nothing when only some bytes are left that it
// is to hold back.
type late struct {
	net.Conn

	held []byte
	hold int
}

// Read implements [net.Conn].
func (l *late) Read(p []byte) (int, error) {
	if len(l.held) > l.hold {
		n := copy(p, l.held[:len(l.held)-l.hold])
		l.held = l.held[n:]
		return n, nil
	}
	if len(l.held) > 0 {
		return 0, ErrNothingYet
	}
	buffer := make([]byte, 32<<10)
	n, err := l.Conn.Read(buffer)
	if err != nil {
		return 0, err
	}
	l.held = buffer[:n]
	return l.Read(p)
}

// pair makes two ends of a TLS connection in memory that have shaken hands.
func pair() (client, server *tls.Conn, wire *late, err error) {
	here, there := net.Pipe()
	wire = &late{Conn: here}
	client, server, err = handshake(wire, there, nil)
	return client, server, wire, err
}

// handshake makes a TLS connection of two ends; what it agrees on is logged, if anywhere.
func handshake(here, there net.Conn, secrets io.Writer) (client, server *tls.Conn, err error) {
	_ = here.SetDeadline(time.Now().Add(proofTimeout))  // an error shows in the handshake
	_ = there.SetDeadline(time.Now().Add(proofTimeout)) // so does one here
	certificate, err := certify()
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	client = tls.Client(here, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: certificate.Leaf.DNSNames[0]})
	peer := tls.Server(there, &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, KeyLogWriter: secrets,
		Certificates: []tls.Certificate{certificate},
	})
	done := make(chan error, 1)
	go func() { done <- peer.HandshakeContext(context.Background()) }() // until the deadline
	err = client.HandshakeContext(context.Background())
	if failed := <-done; err == nil {
		err = failed
	}
	_ = here.SetDeadline(time.Time{}) // an error shows in what is said next
	return client, peer, err
}

// certify makes a certificate that is its own authority.
func certify() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"proof"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
