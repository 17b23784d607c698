// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"

	"mailpush.internal/pkg/fault"
)

// load reads the files. Errors name the field and the file, and show nothing of a key.
func (f RuleFiles) load() (*tls.Config, error) {
	switch {
	case f.CAFile == "" && f.CertFile == "" && f.KeyFile == "":
		return nil, fault.Field("caFile", "is needed, or certFile and keyFile: the rule says nothing otherwise")
	case f.CertFile == "" && f.KeyFile != "":
		return nil, fault.Field("certFile", "is needed, for keyFile is given")
	case f.CertFile != "" && f.KeyFile == "":
		return nil, fault.Field("keyFile", "is needed, for certFile is given")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CAFile != "" {
		text, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, fault.Field("caFile", "%s", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fault.Field("caFile", "%s holds no PEM certificate", f.CAFile)
		}
	}
	if f.CertFile == "" {
		return config, nil
	}
	pair, err := f.pair()
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

// pair reads the client certificate with its key.
func (f RuleFiles) pair() (tls.Certificate, error) {
	certificate, err := os.ReadFile(f.CertFile)
	if err != nil {
		return tls.Certificate{}, fault.Field("certFile", "%s", err)
	}
	if !isCertificate(certificate) {
		return tls.Certificate{}, fault.Field("certFile", "%s holds no PEM certificate", f.CertFile)
	}
	key, err := os.ReadFile(f.KeyFile)
	if err != nil {
		return tls.Certificate{}, fault.Field("keyFile", "%s", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fault.Field("keyFile", "%s does not fit certFile %s: %s", f.KeyFile, f.CertFile, err)
	}
	return pair, nil
}

// isCertificate tells whether a file begins with a certificate, other things aside.
func isCertificate(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
	}
	return false
}

// stamp tells one state of a rule's files from the next.
type stamp [3]struct {
	changed time.Time
	size    int64
}

// stamp looks at the files; one that cannot be looked at counts as never written.
func (f RuleFiles) stamp() stamp {
	var out stamp
	for n, file := range []string{f.CAFile, f.CertFile, f.KeyFile} {
		if info, err := os.Stat(file); err == nil {
			out[n].changed, out[n].size = info.ModTime(), info.Size()
		}
	}
	return out
}
