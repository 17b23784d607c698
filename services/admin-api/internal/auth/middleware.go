// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/secret"
)

// Middleware lets only known callers through to next, and to a path under
// adminPrefix only administrators. It answers strangers before it has read a byte
// of their body, in the protocol they speak, and in JSON when it is none. refused, if not
// nil, hears of each.
func (a *Authenticator) Middleware(adminPrefix string, refused func(code string), next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.authenticate(r)
		if err == nil && !caller.Admin && strings.HasPrefix(r.URL.Path, adminPrefix) {
			err = fault.New(fault.Denied, "application %q may not call AdminService", caller.Name)
		}
		if err == nil {
			next.ServeHTTP(w, r.WithContext(with(r.Context(), caller)))
			return
		}
		public := rpc.ForCaller(r.Context(), err)
		if refused != nil {
			refused(public.Code().String())
		}
		// RFC 9110 section 11.6.1: also where other credentials would help.
		if public.Code() == connect.CodeUnauthenticated || errors.Is(err, errLimit) {
			w.Header().Set("WWW-Authenticate", `Basic realm="mailpush", charset="UTF-8"`)
		}
		_ = writer.Write(w, r, public) // the caller has gone away
	})
}

func (a *Authenticator) authenticate(r *http.Request) (Caller, error) {
	address := peer(r)
	if name, password, ok := r.BasicAuth(); ok {
		return a.Basic(r.Context(), address, name, secret.New(password))
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") && token != "" {
		return a.Bearer(address, token)
	}
	return Caller{}, errMissing
}

// networkBits is how much of an IPv6 address tells one host from another: the rest is
// the host's to choose (RFC 4291 section 2.5.4).
const networkBits = 64

// peer is the address of the connection's other end, of IPv6 its network. Headers that
// claim another one are not believed: anyone can write them.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if address = address.Unmap(); address.Is4() {
		return address.String()
	}
	network, _ := address.Prefix(networkBits) // fails for more bits than there are
	return network.String()
}

// Covers returns the caller of ctx if it may act for the tenant; Denied otherwise.
func Covers(ctx context.Context, contextID string) (Caller, error) {
	c, err := From(ctx)
	if err != nil {
		return Caller{}, err
	}
	if !c.Covers(contextID) {
		return Caller{}, fault.New(fault.Denied, "contextId: application %q may not act for context %q", c.Name, contextID)
	}
	return c, nil
}
