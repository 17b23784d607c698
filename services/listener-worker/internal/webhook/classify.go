// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
)

// classify is the one table from an endpoint's answer to its result class. The
// status decides; a body is never looked at.
func classify(status int, header http.Header, now time.Time) transport.Result {
	result := transport.Result{
		Class:  classOf(status),
		Detail: "the endpoint answered " + strconv.Itoa(status),
		Final:  status == http.StatusGone,
	}
	if result.Class != transport.OK {
		result.After = retryAfter(header.Get("Retry-After"), now)
	}
	return result
}

func classOf(status int) transport.Class {
	switch {
	case status >= 200 && status < 300:
		return transport.OK
	case status >= 300 && status < 400: // redirects are failures (Standard Webhooks)
		return transport.Misconfigured
	case status >= 500:
		return transport.Retry
	}
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return transport.Gone
	case http.StatusUnauthorized, http.StatusForbidden:
		return transport.Auth
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusMisdirectedRequest, http.StatusLocked,
		http.StatusFailedDependency, http.StatusTooEarly, http.StatusTooManyRequests:
		return transport.Retry
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return transport.PermanentItem
	}
	if status >= 400 {
		return transport.Misconfigured
	}
	return transport.Retry // below 200: no final answer
}

// retryAfter reads both forms of Retry-After (RFC 9110 section 10.2.3): seconds and
// a date. What is neither, or in the past, counts as not said.
func retryAfter(value string, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour
	seconds, err := strconv.ParseUint(value, 10, 63)
	switch {
	case err == nil && seconds < uint64(most/time.Second):
		return time.Duration(seconds) * time.Second
	case err == nil || errors.Is(err, strconv.ErrRange):
		return most
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(date.Sub(now), most))
}
