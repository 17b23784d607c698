// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// Validity is until when an identity is good.
type Validity struct {
	Certificate, Authority time.Time
}

// Judge tells all that is wrong at a moment with the files of an identity, each by its
// name, where [Load] gives up at the first: that they are PEM, that key and certificate
// belong together, that the certificate is service's in cluster, of this authority, and
// that neither has ended.
func Judge(cluster, service string, files Files, now time.Time) (Validity, error) {
	roots, authority, caErr := readAuthority(files.CA, now)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return Validity{Authority: authority}, errors.Join(caErr, fmt.Errorf("%s with %s: %w", files.Cert, files.Key, err))
	}
	until := Validity{Certificate: pair.Leaf.NotAfter, Authority: authority}
	errs := []error{caErr, checkDates(files.Cert, pair.Leaf, now)}
	if caErr == nil {
		errs = append(errs, checkIssuer(files, pair, roots, now))
	}
	name, err := serviceOf(pair.Leaf, cluster)
	if err == nil && name != service {
		err = fmt.Errorf("it names the service %q, not %q", name, service)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", files.Cert, err))
	}
	return until, errors.Join(errs...)
}

// readAuthority reads an authority's certificates, of which the one that ends last counts:
// the others are there while one follows another.
func readAuthority(file string, now time.Time) (*x509.CertPool, time.Time, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	roots, last := x509.NewCertPool(), (*x509.Certificate)(nil)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("%s: %w", file, err)
		}
		roots.AddCert(cert)
		if last == nil || cert.NotAfter.After(last.NotAfter) {
			last = cert
		}
	}
	if last == nil {
		return nil, time.Time{}, fmt.Errorf("%s: it holds no PEM certificate", file)
	}
	return roots, last.NotAfter, checkDates(file, last, now)
}

func checkDates(file string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%s: it is good from %s on, and it is %s here", file, moment(cert.NotBefore), moment(now))
	case now.After(cert.NotAfter):
		return fmt.Errorf("%s: it has ended on %s", file, moment(cert.NotAfter))
	default:
		return nil
	}
}

func moment(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// checkIssuer looks who has signed a certificate, whether or not it is good at the moment.
func checkIssuer(files Files, pair tls.Certificate, roots *x509.CertPool, now time.Time) error {
	if now.After(pair.Leaf.NotAfter) {
		now = pair.Leaf.NotAfter
	}
	if now.Before(pair.Leaf.NotBefore) {
		now = pair.Leaf.NotBefore
	}
	intermediates := x509.NewCertPool()
	for _, raw := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(raw); err == nil {
			intermediates.AddCert(cert)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now,
		})
		if err != nil {
			return fmt.Errorf("%s is not of the authority in %s: %w", files.Cert, files.CA, err)
		}
	}
	return nil
}
