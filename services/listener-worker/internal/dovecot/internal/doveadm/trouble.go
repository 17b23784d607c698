// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"fmt"
	"time"

	"mailpush.internal/pkg/backoff"
)

const (
	// failuresOfAll is how many POSTs fail, one after the other and with nobody answered
	// meanwhile, before the mail store counts as ill and not one of its users.
	failuresOfAll = 6
	// maxAside bounds how many users are remembered who are set aside.
	maxAside = 10_000
)

// run asks for a batch, in halves when it fails: all of one size before any smaller one,
// so that those who are well are soon known to be.
func (c *Client) run(batch []*request) {
	c.mu.Lock()
	before := c.good
	c.mu.Unlock()
	for parts := [][]*request{batch}; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		answers, err := c.post(part)
		c.cfg.Posted(resultOf(err))
		switch {
		case err == nil:
			c.answered(part, answers)
		case err.Kind != TooLarge && (err.Kind != Broken || c.failed()):
			err = c.ill(err)
			for _, left := range append(parts, part) {
				failAll(left, err)
			}
			return
		case len(part) > 1:
			middle := len(part) / 2
			parts = append(parts, part[:middle], part[middle:])
		case err.Kind == TooLarge:
			c.answered(nil, nil)
			part[0].fail(err)
		default:
			part[0].fail(c.blame(part[0].user, err, before))
		}
	}
}

func failAll(batch []*request, err *Error) {
	for _, r := range batch {
		r.fail(err)
	}
}

// answered takes in that the mail store is well, and so are these users.
func (c *Client) answered(batch []*request, answers [][]Answer) {
	c.mu.Lock()
	c.good++
	c.failures, c.outage = 0, outage{}
	for _, r := range batch {
		delete(c.aside, r.user)
	}
	c.mu.Unlock()
	for i, r := range batch {
		r.finish(answers[i])
	}
}

// failed takes in that a POST had no answer, and tells whether it is the mail store's
// fault.
func (c *Client) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	return c.failures >= failuresOfAll
}

// exile is a user for whom POSTs fail.
type exile struct {
	until  time.Time // not to be asked for until then
	good   uint64    // POSTs that had been answered when it failed last
	times  int       // it was set aside
	reason string
}

func (x *exile) err() *Error {
	return &Error{Kind: Aside, Reason: fmt.Sprintf("%s; doveadm is asked for this mailbox again at %s", x.reason, x.until.UTC().Format(time.TimeOnly))}
}

// blame takes in that a POST failed that was about one user alone. It is the user's fault
// when others are answered: meanwhile, for which there is the count of before, or since it
// failed last.
func (c *Client) blame(user string, err *Error, before uint64) *Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.aside[user]
	if x == nil {
		if len(c.aside) >= maxAside {
			return err
		}
		x = &exile{good: before}
		c.aside[user] = x
	}
	proven := c.good > x.good
	x.good, x.reason = c.good, err.Reason
	if !proven {
		return err
	}
	// The first pause is short: what hung may have been a lock.
	x.until = time.Now().Add(backoff.Backoff{Min: firstAside, Max: lastAside}.Ceiling(x.times))
	x.times++
	return &Error{Kind: Aside, Reason: x.err().Reason, Err: err}
}

// firstAside and lastAside bound how long a user is set aside.
const (
	firstAside = 3 * time.Second
	lastAside  = 10 * time.Minute
)

// outage is a mail store that answers nobody.
type outage struct {
	err   *Error // nil while it is well
	times int
	until time.Time // nobody tries until then
}

// refuses is why nothing is to be asked. After a pause one may try.
func (o *outage) refuses(now time.Time) error {
	switch {
	case o.err == nil:
		return nil
	case now.Before(o.until):
		return o.err
	}
	o.until = now.Add(o.pause()) // the others wait for how this one fares
	return nil
}

// pause is short at its longest: listeners that wait for the mail store ask seldom enough,
// and what it has answered is to be known soon.
func (o *outage) pause() time.Duration {
	return backoff.Backoff{Min: time.Second, Max: longestPause}.Ceiling(o.times)
}

const longestPause = 5 * time.Second

// ill takes in that the mail store answers nobody, and returns the error that says so.
func (c *Client) ill(cause *Error) *Error {
	whole := *cause
	err := &whole
	err.All = true
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return err
	}
	c.outage.err = err
	c.outage.until = time.Now().Add(c.outage.pause())
	c.outage.times++
	left := c.waiting
	c.waiting = nil
	for _, r := range left {
		r.fail(err)
	}
	return err
}
