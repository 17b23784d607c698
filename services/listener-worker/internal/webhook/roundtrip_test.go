// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"net/http"
	"testing"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// droppedAnswer lets a request through and loses its answer.
type droppedAnswer struct{ http.RoundTripper }

func (d droppedAnswer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	return nil, http.ErrHandlerTimeout
}

func TestWhatMakesTheRequestsCanBeWrapped(t *testing.T) {
	t.Parallel()
	url, requests := record(t)
	c := client(t, webhook.Config{RoundTripper: func(next http.RoundTripper) http.RoundTripper { return droppedAnswer{next} }})
	if result := c.Send(t.Context(), push(url)); result.Class != transport.Retry {
		t.Errorf("%+v for a lost answer", result)
	}
	<-requests // it did arrive
	blocked := client(t, webhook.Config{
		AllowPrivate: prefixes("10.0.0.0/8"),
		RoundTripper: func(next http.RoundTripper) http.RoundTripper { return next },
	})
	if result := blocked.Send(t.Context(), push(url)); result.Class != transport.Misconfigured {
		t.Errorf("%+v: the address guard must stand behind the wrapper", result)
	}
}
