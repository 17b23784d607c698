// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/rpc"
)

// tooLargeHeader marks an answer whose request was too large, from the one who finds out to
// the one who answers; it never leaves the process. The code for that is
// resource_exhausted, and Connect's status for the code is 429, which tells programs to come
// back with the same: 413 tells them what it is.
const tooLargeHeader = "Mailpush-Too-Large"

// errTooLarge is what is wrong with a request that is.
var errTooLarge = fmt.Errorf("the request is larger than %d bytes", rpc.MaxPublicBytes)

func tooLarge() error {
	err := connect.NewError(connect.CodeResourceExhausted, errTooLarge)
	err.Meta().Set(tooLargeHeader, "1")
	return err
}

// drained is how much of a body that is too large is read away, so that a caller who sends
// first and reads then gets the answer.
const drained = 4 * rpc.MaxPublicBytes

// bounded bounds the bodies of requests, whatever answers them.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &body{r.Body, rpc.MaxPublicBytes}
		if r.ContentLength > rpc.MaxPublicBytes && r.Header.Get("Expect") != "" {
			b.left = -1 // the caller asks before it sends (RFC 9110 section 10.1.1)
		}
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

type body struct {
	io.ReadCloser
	left int // negative when it is too large
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge()
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		_, _ = io.CopyN(io.Discard, b.ReadCloser, drained) // for the caller's sake alone
		return 0, tooLarge()
	}
	return n, err
}
