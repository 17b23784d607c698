// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// httpClient speaks with the server at base and with nobody else, for each request
// carries the administrator's password: no redirect is followed, this machine is not
// asked through a proxy, and in clear text only the host is dialled that may be. It
// trusts roots, the system's when nil.
func httpClient(base *url.URL, roots *x509.CertPool) *http.Client {
	dialer := new(net.Dialer)
	if base.Scheme == "http" && isLoopback(base.Hostname()) {
		dialer.Control = onlyLoopback
	}
	return &http.Client{Transport: noRedirects{&http.Transport{
		Proxy:             proxyFor,
		DialContext:       dialer.DialContext,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2: true,
	}}}
}

// checkClear refuses to send a password where everybody on the way can read it.
func checkClear(base *url.URL, insecure bool) error {
	if base.Scheme == "https" || insecure || isLoopback(base.Hostname()) {
		return nil
	}
	return usagef("--server: over http:// everybody on the way can read the password; use https://, or --insecure where the network is safe")
}

// onlyLoopback refuses a localhost that a resolver has put elsewhere.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().IsLoopback() {
		return fmt.Errorf("%s is not this machine; use https://", address)
	}
	return nil
}

// proxyFor is the proxy that the environment names for a request, none to this machine.
func proxyFor(r *http.Request) (*url.URL, error) {
	if isLoopback(r.URL.Hostname()) {
		return nil, nil //nolint:nilnil // no proxy is an answer
	}
	return http.ProxyFromEnvironment(r)
}

// noRedirects takes a redirect for an answer that is none of AdminService.
type noRedirects struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t noRedirects) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(r)
	if err != nil || answer.StatusCode/100 != 3 {
		return answer, err
	}
	at, to := r.URL.Scheme+"://"+r.URL.Host, "nowhere"
	if location, err := answer.Location(); err == nil {
		to = location.Scheme + "://" + location.Host
	}
	_ = answer.Body.Close() // nothing more is read of it
	return nil, failf(exitServer, "%s does not answer like a mailpush admin-api: it redirects to %s", at, to)
}
