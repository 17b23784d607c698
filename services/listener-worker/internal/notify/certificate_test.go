// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package notify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/notify"
)

// authority makes a certificate for clients that it has signed itself.
func authority(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail store"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestACertificateIsAsGoodAsALogin(t *testing.T) {
	t.Parallel()
	known := authority(t)
	taken := 0
	endpoint := notify.New(notify.Config{Take: func(context.Context, hints.Hint) hints.Result {
		taken++
		return hints.Local
	}})
	server := httptest.NewUnstartedServer(endpoint.Handler())
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: x509.NewCertPool()}
	server.TLS.ClientCAs.AddCert(known.Leaf)
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		shows []tls.Certificate
		want  int
	}{
		"of the authority": {[]tls.Certificate{known}, http.StatusOK},
		"none":             {nil, http.StatusUnauthorized},
	} {
		client := server.Client()
		transport, _ := client.Transport.(*http.Transport)
		transport = transport.Clone()
		transport.TLSClientConfig.Certificates = c.shows
		t.Cleanup(transport.CloseIdleConnections)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+notify.Path, strings.NewReader(sample))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s: answered %d, want %d", name, answer.StatusCode, c.want)
		}
	}
	if taken != 1 {
		t.Errorf("%d were taken", taken)
	}
}
