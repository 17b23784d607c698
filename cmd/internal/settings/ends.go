// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/x509"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"
	"time"
)

// CertificateEnds tells when the certificates end that the services show, by the settings
// that name them. One that cannot be read is left out: whoever shows it says so.
func (s *Settings) CertificateEnds(services ...string) map[string]time.Time {
	ends := make(map[string]time.Time)
	for _, leaf := range s.leaves() {
		name, _ := reflect.TypeAssert[string](leaf.Value)
		uptake := uptakeOf(leaf.Key)
		if name == "" || !strings.HasSuffix(leaf.Key, ".certFile") || !overlap(slices.Concat(uptake.Live, uptake.Restart), services) {
			continue
		}
		if end := firstEnd(name); !end.IsZero() {
			ends[leaf.Key] = end
		}
	}
	return ends
}

// firstEnd is when the first of the certificates in a file ends: no one of a chain does
// without the others.
func firstEnd(name string) (end time.Time) {
	text, err := ReadFile(name)
	if err != nil {
		return time.Time{}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && (end.IsZero() || certificate.NotAfter.Before(end)) {
			end = certificate.NotAfter
		}
	}
	return end
}
