// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package identity tells mailpush's services apart: each carries a certificate of
// the cluster's own authority with its name in the URI SAN, spiffe://<cluster>/<service>.
// Invariant: no internal call is served before both sides have shown a certificate
// of that authority, and each procedure is open only to the services listed for it.
//
// Certificates end, so an identity can take on what was read anew while connections are
// made with it. Those that are open stay as they are.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
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

// Identity is one service's certificate and the authority it trusts. It is safe for
// concurrent use.
type Identity struct {
	cluster string
	service string
	current atomic.Pointer[material]
}

// material is what was read of an identity at one time.
type material struct {
	cert    tls.Certificate
	roots   *x509.CertPool
	server  *tls.Config // one for all connections, so that sessions are resumed
	expires Expiry
}

// Expiry is when an identity ends.
type Expiry struct {
	// Certificate is the end of the service's own certificate, and Authority that of the
	// authority's that vouches for it.
	Certificate, Authority time.Time
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
	id := &Identity{cluster: cluster, service: service}
	read := material{cert: cert, roots: x509.NewCertPool()}
	if !read.roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the authority's file holds no PEM certificate")
	}
	read.expires = read.expiry()
	id.take(read)
	name, err := id.verify([]*x509.Certificate{cert.Leaf}, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, fmt.Errorf("checking the certificate of %s: %w", service, err)
	}
	if name != service {
		return nil, fmt.Errorf("checking the certificate of %s: it names the service %s", service, name)
	}
	return id, nil
}

// take has connections made of what was read from now on.
func (i *Identity) take(read material) {
	read.server = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{read.cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    read.roots,
		NextProtos:   protocols(),
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := i.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth)
			return err
		},
	}
	i.current.Store(&read)
}

func protocols() []string { return []string{"h2", "http/1.1"} }

// expiry is when the certificate ends, and the last of the authority's that vouch for it.
func (m material) expiry() Expiry {
	ends := Expiry{Certificate: m.cert.Leaf.NotAfter}
	// Who cannot be verified is refused by the caller; nobody's end is told.
	chains, _ := m.cert.Leaf.Verify(x509.VerifyOptions{Roots: m.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for _, chain := range chains {
		if end := chain[len(chain)-1].NotAfter; end.After(ends.Authority) {
			ends.Authority = end
		}
	}
	return ends
}

// Service returns the name of the service this identity is for.
func (i *Identity) Service() string { return i.service }

// Cluster returns the name of the cluster that the service is one of.
func (i *Identity) Cluster() string { return i.cluster }

// Expires tells when what was read last ends.
func (i *Identity) Expires() Expiry { return i.current.Load().expires }

// Adopt takes on what another identity of the same service in the same cluster has read.
// Connections that are made from now on show it, and are held against its authority.
func (i *Identity) Adopt(read *Identity) { i.take(*read.current.Load()) }

// ServerTLS makes a server ask for, and insist on, a certificate of the cluster.
func (i *Identity) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return i.current.Load().server, nil
		},
	}
}

// ClientTLS makes a client insist that the server is the named service. Addresses
// play no part: a service may move, its name does not.
func (i *Identity) ClientTLS(service string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &i.current.Load().cert, nil
		},
		NextProtos: protocols(),
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
		Roots:         i.current.Load().roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}); err != nil {
		return "", err
	}
	return serviceOf(chain[0], i.cluster)
}

// serviceOf reads the service's name from a verified certificate of a cluster.
func serviceOf(cert *x509.Certificate, cluster string) (string, error) {
	of, service, err := named(cert)
	if err == nil && of != cluster {
		err = fmt.Errorf("the certificate is of cluster %q, not %q", of, cluster)
	}
	if err != nil {
		return "", err
	}
	return service, nil
}

// named reads the one name of a verified certificate. With two, it would depend on the reader
// whom it stands for, so it stands for nobody (SPIFFE's X509-SVID, section 2). Nor does a name
// that is written another way than ours, with a port, a query or a longer path.
func named(cert *x509.Certificate) (cluster, service string, err error) {
	switch {
	case len(cert.URIs) == 0:
		return "", "", errors.New("the certificate has no spiffe:// name")
	case len(cert.URIs) > 1:
		return "", "", fmt.Errorf("the certificate has %d URIs for names: want one, spiffe://CLUSTER/SERVICE", len(cert.URIs))
	}
	uri := cert.URIs[0]
	cluster, service = uri.Host, strings.TrimPrefix(uri.Path, "/")
	if cluster == "" || cluster != uri.Hostname() || !serviceName.MatchString(service) || *uri != *spiffeID(cluster, service) {
		return "", "", errors.New("the certificate's name is not spiffe://CLUSTER/SERVICE")
	}
	return cluster, service, nil
}

var serviceName = regexp.MustCompile(`^[a-z0-9-]+$`)

func spiffeID(cluster, service string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: cluster, Path: "/" + service}
}
