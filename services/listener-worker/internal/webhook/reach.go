// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// reach notes whether a request got a connection. Without one it met what every endpoint of
// the origin would have met: the name, the dialling, the certificate are theirs together.
// Names and addresses are dialled in the one way that [endpoint.Target] says.
type reach struct{ connected atomic.Bool }

// watch has the requests of a context noted.
func (r *reach) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { r.connected.Store(true) },
	})
}
