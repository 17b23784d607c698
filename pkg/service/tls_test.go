// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/service"
)

// The certificate that a server shows is the one in force when it is connected to.
func TestTheNextConnectionIsShownTheNewCertificate(t *testing.T) {
	t.Parallel()
	named := func(name string) *tls.Config {
		t.Helper()
		certificate, err := imaptest.NewCertificate(time.Hour, name)
		if err != nil {
			t.Fatal(err)
		}
		config, err := certificate.ServerTLS()
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	live := service.NewTLS(named("first.example"))
	server := live.Config()
	shown := func() string {
		t.Helper()
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		served := make(chan error, 1)
		go func() { served <- tls.Server(far, server).HandshakeContext(t.Context()) }()
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil || client.ConnectionState().NegotiatedProtocol != "h2" {
			t.Fatalf("protocol %q, %v", client.ConnectionState().NegotiatedProtocol, err)
		}
		return client.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	if got := shown(); got != "first.example" {
		t.Errorf("shown %s", got)
	}
	live.Replace(named("second.example"))
	if got := shown(); got != "second.example" {
		t.Errorf("shown %s", got)
	}
	live.Replace(nil) // a server does not cease to have TLS
	if got := shown(); got != "second.example" {
		t.Errorf("shown %s", got)
	}
	without := service.NewTLS(nil)
	if without.Replace(named("late.example")); without.Config() != nil {
		t.Error("a server without TLS has begun to have it")
	}
}
