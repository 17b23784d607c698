// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"io"
	"net/http"

	worker "mailpush.internal/services/listener-worker"
)

// beHasty makes a worker wrong on purpose: it takes each push for accepted before it
// is made, and so moves its cursor. A run with such workers must be found to lose mail.
func beHasty(config *worker.Config) {
	beImpatient(config)
	config.RoundTripper = func(network http.RoundTripper) http.RoundTripper { return hasty{network} }
}

// hasty answers 200 to every request, makes it afterwards, and does not care what
// becomes of it.
type hasty struct{ network http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (h hasty) RoundTrip(request *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	_ = request.Body.Close()
	later := request.Clone(context.WithoutCancel(request.Context()))
	later.Body = io.NopCloser(bytes.NewReader(text))
	go func() {
		if response, err := h.network.RoundTrip(later); err == nil {
			_ = response.Body.Close() // it is not looked at
		}
	}()
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody, Request: request,
	}, nil
}
