// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
)

// maxAnswer is how many bytes the answer of one POST may have.
const maxAnswer = 16 << 20

// post asks for a batch once. The error is about all of it.
func (c *Client) post(batch []*request) ([][]Answer, *Error) {
	ctx, cancel := context.WithTimeout(c.life, c.cfg.Timeout)
	defer cancel()
	body, first, err := c.encode(batch)
	if err != nil {
		return nil, &Error{Kind: Broken, Reason: "what is to be asked cannot be written", Err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Kind: Down, Reason: "the URL of doveadm cannot be used", Err: err}
	}
	request.Header.Set("Authorization", "X-Dovecot-API "+base64.StdEncoding.EncodeToString([]byte(c.cfg.Key().Reveal())))
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.classify(err)
	}
	defer func() { _ = response.Body.Close() }() // all of it was read, or is not wanted
	if failure := classifyStatus(response.StatusCode); failure != nil {
		return nil, failure
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.classify(err)
	case len(raw) > maxAnswer:
		return nil, &Error{Kind: TooLarge, Reason: fmt.Sprintf("doveadm's answer has more than %d MiB", maxAnswer>>20)}
	}
	return parse(raw, batch, first)
}

// encode writes the body. Commands have tags that no other POST has: an answer that was
// meant for another is none.
func (c *Client) encode(batch []*request) (body []byte, first uint64, err error) {
	count := uint64(0)
	for _, r := range batch {
		count += uint64(len(r.commands))
	}
	c.mu.Lock()
	first = c.lastTag + 1
	c.lastTag += count
	c.mu.Unlock()
	list := make([][3]any, 0, count)
	for _, r := range batch {
		for _, command := range r.commands {
			list = append(list, [3]any{command.name, command.parameters(r.user), tagOf(first + uint64(len(list)))})
		}
	}
	body, err = json.Marshal(list)
	return body, first, err
}

func tagOf(n uint64) string { return "t" + strconv.FormatUint(n, 36) }

// classify says what it means that a POST has no answer.
func (c *Client) classify(err error) *Error {
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case c.life.Err() != nil:
		return errClosed
	case errors.As(err, &certificate):
		return &Error{Kind: Down, Reason: "doveadm's certificate is not trusted", Err: err}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &Error{Kind: Down, Reason: "doveadm cannot be reached", Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Kind: Broken, Reason: fmt.Sprintf("doveadm did not answer within %s", c.cfg.Timeout), Err: err}
	default:
		return &Error{Kind: Broken, Reason: "doveadm ended in the middle of its answer", Err: err}
	}
}

// classifyStatus says what a status of HTTP means; nil for an answer.
func classifyStatus(status int) *Error {
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &Error{Kind: Denied, Reason: fmt.Sprintf("doveadm refuses the API key (%d)", status)}
	case status == http.StatusBadRequest, status >= 500 && status != http.StatusServiceUnavailable:
		return &Error{Kind: Broken, Reason: fmt.Sprintf("doveadm answers %d", status)} // perhaps because of one of the users
	default:
		return &Error{Kind: Down, Reason: fmt.Sprintf("doveadm answers %d; is the URL that of its HTTP API?", status)}
	}
}
