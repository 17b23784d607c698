// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	identityLife  = 2 * 365 * 24 * time.Hour
	// clockSkew lets a machine whose clock is a little behind accept a fresh certificate.
	clockSkew = 5 * time.Minute
)

// Authority issues the identities of one cluster. It lives in a directory as
// ca.crt and ca.key.
type Authority struct {
	cluster string
	cert    *x509.Certificate
	pem     []byte
	key     *ecdsa.PrivateKey
}

// OpenAuthority reads the authority in dir, or makes one there.
func OpenAuthority(dir, cluster string) (*Authority, error) {
	certFile, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, os.ErrNotExist) {
		if err := createAuthority(dir, certFile, keyFile, cluster); err != nil {
			return nil, fmt.Errorf("making a certificate authority: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(certFile, keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority in %s: %w", dir, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the authority's key in %s is not an ECDSA key", dir)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw})
	return &Authority{cluster: cluster, cert: pair.Leaf, pem: encoded, key: key}, nil
}

func createAuthority(dir, certFile, keyFile, cluster string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := template(authorityLife)
	if err != nil {
		return err
	}
	template.Subject = pkix.Name{CommonName: "mailpush " + cluster}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	return writePair(certFile, keyFile, raw, key)
}

// Issue makes an identity for service that lives in memory only.
func (a *Authority) Issue(service string) (*Identity, error) {
	raw, key, err := a.issue(service)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %s: %w", service, err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("issuing a certificate for %s: %w", service, err)
	}
	cert := tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
	return newIdentity(a.cluster, service, a.pem, cert)
}

// Write makes an identity for service as PEM files in dir, with ca.crt beside it.
func (a *Authority) Write(service, dir string) (Files, error) {
	files := Files{
		CA:   filepath.Join(dir, "ca.crt"),
		Cert: filepath.Join(dir, service+".crt"),
		Key:  filepath.Join(dir, service+".key"),
	}
	raw, key, err := a.issue(service)
	if err != nil {
		return Files{}, fmt.Errorf("issuing a certificate for %s: %w", service, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // certificates are public, keys are 0600
		return Files{}, fmt.Errorf("writing the certificate of %s: %w", service, err)
	}
	if err := os.WriteFile(files.CA, a.pem, 0o644); err != nil { //nolint:gosec // a certificate is public
		return Files{}, fmt.Errorf("writing the certificate of %s: %w", service, err)
	}
	if err := writePair(files.Cert, files.Key, raw, key); err != nil {
		return Files{}, fmt.Errorf("writing the certificate of %s: %w", service, err)
	}
	return files, nil
}

func (a *Authority) issue(service string) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := template(identityLife)
	if err != nil {
		return nil, nil, err
	}
	template.Subject = pkix.Name{CommonName: service}
	template.URIs = []*url.URL{spiffeID(a.cluster, service)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	return raw, key, err
}

func template(life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(life),
	}, nil
}

// writePair writes the key first: a certificate without its key is what a reader
// would stumble over.
func writePair(certFile, keyFile string, cert []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	return os.WriteFile(certFile, certPEM, 0o644) //nolint:gosec // a certificate is public
}
