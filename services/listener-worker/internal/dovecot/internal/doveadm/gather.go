// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import "time"

const (
	// roomOfPost is what one POST holds: 50 light commands, or 16 reads.
	roomOfPost  = 400
	lightWeight = roomOfPost / 50
	readWeight  = roomOfPost / 16
	// gatherFor is how long a POST is put off for others to come along, where several
	// wait: to set up a user is what costs Dovecot most, and it does that faster in one go.
	gatherFor = 2 * time.Millisecond
)

// start sends what waits, oldest first, as far as there is room. c.mu is held.
func (c *Client) start(gathered bool) {
	for len(c.waiting) > 0 && c.running < c.cfg.Concurrency && !c.closed {
		n := c.fitting()
		if few := n == len(c.waiting) && n > 1; few && !gathered && !c.waiting[0].alone {
			c.gatherMore()
			return
		}
		batch := c.waiting[:n:n]
		if c.waiting = c.waiting[n:]; len(c.waiting) == 0 {
			c.waiting = nil
		}
		c.running++
		c.wait.Add(1)
		go c.send(batch)
		gathered = false
	}
}

// gatherMore comes back in a moment. c.mu is held.
func (c *Client) gatherMore() {
	if c.gather != nil {
		return
	}
	c.gather = time.AfterFunc(gatherFor, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gather = nil
		c.start(true)
	})
}

// fitting is how many of those that wait fit into one POST, one at least. c.mu is held.
func (c *Client) fitting() int {
	weight := 0
	for n, r := range c.waiting {
		weight += r.weight
		if n > 0 && (r.alone || weight > roomOfPost) {
			return n
		}
		if r.alone {
			return 1
		}
	}
	return len(c.waiting)
}

// send sends a batch, and what follows.
func (c *Client) send(batch []*request) {
	defer c.wait.Done()
	c.run(batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	c.start(false)
}
