// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/registry"
)

const headersField = "webhook.headers"

// Header is one header that pushes carry.
type Header struct {
	Name  string // in its canonical form
	Value secret.String
}

// checkHeaders refuses headers that cannot be sent, each by its name. No error quotes a
// value.
func checkHeaders(r Request) error {
	if len(r.Headers) > 0 && r.ClearHeaders {
		return fault.Field("webhook.clearHeaders", "must be left out where webhook.headers gives others")
	}
	if n := len(r.Headers); n > endpoint.MaxHeaders {
		return fault.Field(headersField, "%d headers: want at most %d", n, endpoint.MaxHeaders)
	}
	total, known := 0, make(map[string]string, len(r.Headers))
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		value := r.Headers[name].Reveal()
		if err := endpoint.CheckHeader(name, value); err != nil {
			return fault.Field(headerField(name), "%s", err)
		}
		canonical := endpoint.CanonicalHeader(name)
		if other, twice := known[canonical]; twice {
			return fault.Field(headerField(name), "is the same header as %q", other)
		}
		known[canonical], total = name, total+len(name)+len(value)
	}
	if total > endpoint.MaxHeaderBytes {
		return fault.Field(headersField, "%d bytes in all: want at most %d", total, endpoint.MaxHeaderBytes)
	}
	return nil
}

// headerField names a header as JSON callers find it. A name may be anything, and long.
func headerField(name string) string {
	const longest = endpoint.MaxHeaderName
	return fmt.Sprintf("%s[%q]", headersField, name[:min(len(name), longest)])
}

// headers are those of a request, by ascending names.
func (r Request) headers() []Header {
	out := make([]Header, 0, len(r.Headers))
	for name, value := range r.Headers {
		out = append(out, Header{endpoint.CanonicalHeader(name), value})
	}
	slices.SortFunc(out, func(a, b Header) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// sealHeaders seals the headers that follow the current ones, unless those stay or there
// are to be none.
func (n *enrolment) sealHeaders(ctx context.Context) error {
	old, given := n.sub.Headers, n.headers()
	switch {
	case n.keepsHeaders():
		return n.headersStay(ctx)
	case len(given) == 0:
		if old.Slot != 0 {
			n.sub.Headers = registry.Headers{Version: old.Version + 1}
		}
		return nil
	}
	next := registry.Headers{Slot: freshSlot(old.Slot)}
	for _, h := range given {
		next.Names = append(next.Names, h.Name)
	}
	n.sub.Headers = next
	account := registry.HeadersAccount(n.sub.ID, next.Slot)
	n.seal(account, old.Version, SealedHeaders{n.Target.Origin(), given}, func(version uint64) { n.sub.Headers.Version = version })
	return nil
}
