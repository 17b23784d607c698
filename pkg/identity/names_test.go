// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// oddNames are those that no certificate of a cluster "blue" may have.
func oddNames() map[string][]string {
	return map[string][]string{
		"none":              nil,
		"two services":      {"spiffe://blue/listener-worker", "spiffe://blue/admin-api"},
		"one service twice": {"spiffe://blue/listener-worker", "spiffe://blue/listener-worker"},
		"another URI":       {"https://blue/listener-worker", "spiffe://blue/listener-worker"},
		"no SPIFFE name":    {"https://blue/listener-worker"},
		"another cluster":   {"spiffe://green/listener-worker"},
		"no cluster":        {"spiffe:///listener-worker"},
		"no service":        {"spiffe://blue/"},
		"a longer path":     {"spiffe://blue/x/listener-worker"},
		"a slash more":      {"spiffe://blue//listener-worker"},
		"an encoded slash":  {"spiffe://blue/listener-worker%2fx"},
		"an encoded name":   {"spiffe://blue/listener%2dworker"},
		"a port":            {"spiffe://blue:443/listener-worker"},
		"a user":            {"spiffe://admin@blue/listener-worker"},
		"a query":           {"spiffe://blue/listener-worker?x"},
		"a fragment":        {"spiffe://blue/listener-worker#x"},
		"an opaque name":    {"spiffe:blue/listener-worker"},
	}
}

// issueNamed makes a certificate of the authority with any names.
func issueNamed(t *testing.T, a *Authority, names []string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template, err := template(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// Whoever the authority has signed a certificate for stands for one service, as the one way
// to write its name says, or for nobody: as a client, as a server, and to the middleware.
func TestACertificateHasOneName(t *testing.T) {
	t.Parallel()
	a, err := OpenAuthority(t.TempDir(), "blue")
	if err != nil {
		t.Fatal(err)
	}
	vault, err := a.Issue(Vault)
	if err != nil {
		t.Fatal(err)
	}
	for name, names := range oddNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := issueNamed(t, a, names)
			if err := Handshake(t, &tls.Config{Certificates: []tls.Certificate{odd}, InsecureSkipVerify: true}, vault.ServerTLS()); err == nil {
				t.Error("a server takes it from a client")
			}
			for _, service := range Services() {
				if err := Handshake(t, vault.ClientTLS(service), &tls.Config{Certificates: []tls.Certificate{odd}}); err == nil {
					t.Errorf("a client takes it for %s", service)
				}
			}
			if name == "another cluster" {
				return // the middleware leaves it to the TLS layer
			}
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{odd.Leaf}, VerifiedChains: [][]*x509.Certificate{{odd.Leaf}}}
			Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if caller := Caller(r.Context()); caller != "" {
					t.Errorf("the middleware takes it for %s", caller)
				}
			})).ServeHTTP(httptest.NewRecorder(), request)
		})
	}
	if err := Handshake(t, vault.ClientTLS(Worker), &tls.Config{Certificates: []tls.Certificate{issueNamed(t, a, []string{"spiffe://blue/" + Worker})}}); err != nil {
		t.Errorf("the one name: %v", err)
	}
}

// Handshake lets a client with one configuration meet a server with another. Both sides
// read and write, so that a refusal of either shows.
func Handshake(t *testing.T, client, server *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe holds no alert that nobody reads yet
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		far, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer far.Close()
		conn := tls.Server(far, server)
		if err = conn.HandshakeContext(t.Context()); err == nil {
			_, err = conn.Write([]byte{1})
		}
		served <- err
	}()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(near, client)
	if err = conn.HandshakeContext(t.Context()); err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	near.Close()
	return cmp.Or(err, <-served)
}
