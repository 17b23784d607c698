// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

const (
	// rsaBits is what certification authorities sign with.
	rsaBits = 2048
	// leafPadding and authorityPadding stand for what real certificates carry beside what
	// these do: addresses of policies and revocation lists, transparency timestamps.
	leafPadding      = 450
	authorityPadding = 475
)

// NewChain makes a certificate that is presented with a chain as long as a large mail
// provider's: a leaf and two intermediates signed with RSA, 3.9 KB in all. The
// certificate to trust is returned beside it, in PEM.
func NewChain(valid time.Duration, hosts ...string) (_ Certificate, ca []byte, err error) {
	root, err := newAuthority("root", nil, valid)
	if err != nil {
		return Certificate{}, nil, err
	}
	upper, err := newAuthority("intermediate 1", root, valid)
	if err != nil {
		return Certificate{}, nil, err
	}
	lower, err := newAuthority("intermediate 2", upper, valid)
	if err != nil {
		return Certificate{}, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, nil, fmt.Errorf("making a key: %w", err)
	}
	leaf := certificateTemplate("localhost", valid, leafPadding)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	signed, err := lower.sign(leaf, key.Public())
	if err != nil {
		return Certificate{}, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return Certificate{
		Cert: slices.Concat(pemCertificate(signed), pemCertificate(lower.certificate.Raw), pemCertificate(upper.certificate.Raw)),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, pemCertificate(root.certificate.Raw), nil
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes an authority that another has signed, or that has signed itself.
func newAuthority(name string, above *authority, valid time.Duration) (*authority, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := certificateTemplate(name, valid, authorityPadding)
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	if above == nil {
		above = &authority{template, key}
	}
	signed, err := above.sign(template, key.Public())
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return &authority{certificate, key}, nil
}

func (a *authority) sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return signed, nil
}

func certificateTemplate(name string, valid time.Duration, padding int) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Some Certification Authority"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(valid),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// An extension that nobody knows and that is not critical.
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, padding)}},
		BasicConstraintsValid: true,
	}
}

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
