// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package identity tells mailpush's services apart: each carries a certificate of
// the cluster's own authority with its name in the URI SAN, spiffe://<cluster>/<service>.
// Invariant: no internal call is served before both sides have shown a certificate
// of that authority, and each procedure is open only to the services listed for it.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// The services of a mailpush cluster.
const (
	Scheduler = "scheduler"
	Worker    = "listener-worker"
	Vault     = "credential-vault"
	Admin     = "admin-api"
)

// Services lists every service that carries an identity.
func Services() []string { return []string{Admin, Vault, Worker, Scheduler} }

// Files are the PEM files of one identity.
type Files struct {
	CA, Cert, Key string
}

// Identity is one service's certificate and the authority it trusts. It is
// immutable and safe for concurrent use.
type Identity struct {
	cluster string
	service string
	cert    tls.Certificate
	roots   *x509.CertPool
}

// Load reads an identity and checks that its certificate is service's in cluster.
func Load(cluster, service string, files Files) (*Identity, error) {
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of %s: %w", service, err)
	}
	return newIdentity(cluster, service, ca, cert)
}

func newIdentity(cluster, service string, ca []byte, cert tls.Certificate) (*Identity, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's file holds no PEM certificate")
	}
	id := &Identity{cluster: cluster, service: service, cert: cert, roots: roots}
	name, err := id.verify([]*x509.Certificate{cert.Leaf}, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, fmt.Errorf("checking the certificate of %s: %w", service, err)
	}
	if name != service {
		return nil, fmt.Errorf("checking the certificate of %s: it names the service %s", service, name)
	}
	return id, nil
}

// Service returns the name of the service this identity is for.
func (i *Identity) Service() string { return i.service }

// ServerTLS makes a server ask for, and insist on, a certificate of the cluster.
func (i *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    i.roots,
		NextProtos:   []string{"h2", "http/1.1"},
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := i.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth)
			return err
		},
	}
}

// ClientTLS makes a client insist that the server is the named service. Addresses
// play no part: a service may move, its name does not.
func (i *Identity) ClientTLS(service string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.cert},
		NextProtos:   []string{"h2", "http/1.1"},
		// The host name is not what is checked: VerifyConnection below checks the
		// chain and the service's name, on resumed connections too.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection: func(state tls.ConnectionState) error {
			name, err := i.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if name != service {
				return fmt.Errorf("expected the service %s, reached %s", service, name)
			}
			return nil
		},
	}
}

// verify checks a chain against the authority and returns the service it names.
func (i *Identity) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) (string, error) {
	if len(chain) == 0 || chain[0] == nil {
		return "", errors.New("no certificate shown")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         i.roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}); err != nil {
		return "", err
	}
	return serviceOf(chain[0], i.cluster)
}

// serviceOf reads the service's name from a verified certificate.
func serviceOf(cert *x509.Certificate, cluster string) (string, error) {
	for _, uri := range cert.URIs {
		if uri.Scheme != "spiffe" {
			continue
		}
		if uri.Host != cluster {
			return "", fmt.Errorf("the certificate is of cluster %q, not %q", uri.Host, cluster)
		}
		return strings.TrimPrefix(uri.Path, "/"), nil
	}
	return "", errors.New("the certificate has no spiffe:// name")
}

func spiffeID(cluster, service string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: cluster, Path: "/" + service}
}
