// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"strings"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// maxDetail bounds what is told about a request that got no answer: a server that
// speaks no HTTP is quoted there.
const maxDetail = 200

// notEstablished is what net/http says of a server that ends the connection after the
// client's part of the TLS handshake, as one does that wants a client certificate; its alert
// is lost then or not, as it happens (RFC 8446, section 4.4.2.4).
const notEstablished = "client conn could not be established"

// unanswered classifies a request that got no answer. Certificates and addresses
// that are not allowed do not mend by themselves; everything else may.
func unanswered(err error) transport.Result {
	if refused := new(blockedError); errors.As(err, &refused) {
		return transport.Result{Class: transport.Misconfigured, Detail: refused.Error(), Unanswered: true}
	}
	class := transport.Retry
	if certificate := new(tls.CertificateVerificationError); errors.As(err, &certificate) {
		class = transport.Misconfigured
	}
	detail := "no answer" + reason(err)
	detail = strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "")
	return transport.Result{Class: class, Detail: detail, Unanswered: true}
}

// reason says after "no answer" why there was none, without the URL, its host and addresses.
func reason(err error) string {
	var (
		wrapped *url.Error
		name    *net.DNSError
		host    x509.HostnameError
		step    *net.OpError
		timeout net.Error
	)
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return " in time"
	case errors.As(err, &name) && name.IsNotFound:
		return ": the host's name is not known"
	case errors.As(err, &name):
		return ": the host's name could not be looked up"
	case errors.As(err, &host):
		return ": the certificate is for another host"
	case errors.As(err, &step):
		return ": " + step.Op + ": " + step.Err.Error()
	case strings.HasSuffix(err.Error(), notEstablished):
		return ": it closed the connection before HTTP/2 began: is a client certificate required?"
	}
	return ": " + err.Error()
}
