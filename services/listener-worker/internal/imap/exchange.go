// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"errors"
	"io"
	"net"
	"time"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
)

// grace is how long an answer that should be there may be missing before another way is
// taken.
const grace = time.Second

// patience is the grace where all answers have less time than is usual.
func (c *conn) patience() time.Duration { return min(grace, c.timeout/2) }

// command is a command and how it ended.
type command struct {
	text  string
	tag   uint32
	first uint32 // its tag when it was sent for the first time, once it was sent again
	again bool   // the one sent again was answered, the first was not
	ended bool
	err   *statusError // nil when it succeeded
}

// exchange is commands that are answered together.
type exchange struct {
	commands []*command
	each     func(*wire.Response) // takes untagged data; may be nil
	more     func() []byte        // answers a "+"; may be nil, and may return nil
	graceAt  time.Time            // when something else is done; zero: never
	onGrace  func() error
}

// ask sends commands and waits until all have ended. An error means that the connection
// is of no more use; whether the commands succeeded they say themselves.
func (c *conn) ask(each func(*wire.Response), commands ...*command) error {
	x := &exchange{commands: commands, each: each}
	if err := c.endIdle(x); err != nil {
		return err
	}
	if err := c.send(x.commands); err != nil {
		return err
	}
	if err := c.await(x); err != nil {
		return err
	}
	if len(x.commands) > len(commands) {
		c.host.learnPipelines(x.commands)
	}
	return nil
}

// send writes commands, all at once.
func (c *conn) send(commands []*command) error {
	if c.failed != nil {
		return c.failed
	}
	out := make([]byte, 0, 256)
	for _, cmd := range commands {
		if cmd.tag == 0 {
			c.lastTag++
			cmd.tag = c.lastTag
			out = append(appendTag(out, cmd.tag), ' ')
		}
		out = append(append(out, cmd.text...), "\r\n"...)
	}
	return c.write(out)
}

func (c *conn) write(out []byte) error {
	if _, err := c.stream.Write(out); err != nil {
		return c.fail(err)
	}
	return nil
}

func appendTag(out []byte, tag uint32) []byte {
	out = append(out, 'T')
	digits := [10]byte{}
	at := len(digits)
	for ; tag > 0; tag /= 10 {
		at--
		digits[at] = byte('0' + tag%10)
	}
	return append(out, digits[at:]...)
}

// await takes responses until the commands have ended.
func (c *conn) await(x *exchange) error {
	for !x.over() {
		ok, err := c.next()
		switch {
		case err != nil:
			return c.fail(err)
		case ok:
			err = c.take(&c.response, x)
		default:
			err = c.fill(x)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// next takes the next response, if one has come.
func (c *conn) next() (ok bool, err error) {
	c.response, ok, err = c.reader.Next()
	return ok, err
}

// over tells whether all commands have ended.
func (x *exchange) over() bool { return x.oldest() == nil }

// oldest is the first command that has not ended, nil when all have.
func (x *exchange) oldest() *command {
	for _, cmd := range x.commands {
		if !cmd.ended {
			return cmd
		}
	}
	return nil
}

// fill reads what comes next, or does what is due when nothing comes.
func (c *conn) fill(x *exchange) error {
	until := c.deadline
	if !x.graceAt.IsZero() && x.graceAt.Before(until) {
		until = x.graceAt
	}
	err := c.read(until)
	if isTimeout(err) && until.Before(c.deadline) {
		x.graceAt = time.Time{}
		return x.onGrace()
	}
	if err != nil {
		return c.fail(err)
	}
	return nil
}

// read reads once.
func (c *conn) read(until time.Time) error {
	if !until.Equal(c.readUntil) {
		_ = c.stream.SetReadDeadline(until) // an error shows in the read
		c.readUntil = until
	}
	_, err := c.receive()
	return err
}

// receive takes what one read brings.
func (c *conn) receive() (int, error) {
	n, err := c.stream.Read(c.reader.Space())
	if n > 0 {
		return n, c.reader.Filled(n) // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// take takes one response.
func (c *conn) take(p *wire.Response, x *exchange) error {
	switch p.Kind {
	case wire.Untagged:
		return c.takeUntagged(p, x)
	case wire.Tagged:
		c.takeTagged(p, x)
	case wire.Tagless:
		if cmd := x.oldest(); cmd != nil {
			c.finish(cmd, p)
		}
	case wire.Continuation:
		if x.more != nil {
			if line := x.more(); line != nil {
				return c.write(line)
			}
			return nil
		}
		c.skipped(oddContinuation, p)
	case wire.Junk:
		c.skipped(oddJunk, p)
	}
	return nil
}

// takeTagged ends a command, and with it those before it: whoever answers a later
// command has forgotten the earlier ones' answers.
func (c *conn) takeTagged(p *wire.Response, x *exchange) {
	tag, ok := parseTag(p.Tag)
	for i, cmd := range x.commands {
		if !ok || cmd.ended || cmd.tag != tag && cmd.first != tag {
			continue
		}
		for _, before := range x.commands[:i] {
			before.ended = true
		}
		cmd.again = cmd.first != 0 && cmd.tag == tag
		c.finish(cmd, p)
		return
	}
	c.skipped(oddTag, p)
}

func parseTag(tag []byte) (uint32, bool) {
	if len(tag) < 2 || tag[0] != 'T' && tag[0] != 't' {
		return 0, false
	}
	n, ok := wire.Number(tag[1:])
	return uint32(min(n, 1<<32-1)), ok
}

// finish ends a command.
func (c *conn) finish(cmd *command, p *wire.Response) {
	cmd.ended = true
	status := p.Status()
	if p.Is("OK") {
		if status.HasCode("CAPABILITY") {
			c.caps.take(status.Arg)
		}
		return
	}
	cmd.err = c.statusOf(p, status)
}

// takeUntagged takes what is said to no command in particular.
func (c *conn) takeUntagged(p *wire.Response, x *exchange) error {
	switch {
	case p.Is("BYE"):
		status := p.Status()
		c.bye = c.plain(withCode(status)) + " "
		x.graceAt, x.onGrace = time.Now().Add(c.patience()), func() error { return c.fail(io.EOF) }
		return nil
	case p.Is("BAD"):
		if cmd := x.oldest(); cmd != nil {
			err := c.statusOf(p, p.Status())
			x.graceAt = time.Now().Add(c.patience())
			x.onGrace = func() error { // no other answer comes
				cmd.ended, cmd.err = true, err
				return nil
			}
		}
	}
	c.hear(p)
	if x.each != nil {
		x.each(p)
	}
	return nil
}

// endIdle has IDLE end, where it stands, before the commands. They go along with DONE,
// which saves a round trip, but where the mail store is known to drop what does.
func (c *conn) endIdle(x *exchange) error {
	if c.idleTag == 0 {
		return nil
	}
	done := &command{text: "DONE", tag: c.idleTag}
	c.idleTag = 0
	if c.host.takesPipelines() {
		x.commands = append([]*command{done}, x.commands...)
		x.graceAt = time.Now().Add(c.patience())
		x.onGrace = func() error { return c.again(x) }
		return nil
	}
	if err := c.send([]*command{done}); err != nil {
		return err
	}
	alone := &exchange{commands: []*command{done}, each: x.each, graceAt: time.Now().Add(c.patience())}
	alone.onGrace = func() error { // some never say that IDLE has ended
		done.ended = true
		return nil
	}
	return c.await(alone)
}

// again sends commands once more that went along with DONE and were not answered: some
// mail stores drop what comes in one piece with it. All of them can be sent twice.
func (c *conn) again(x *exchange) error {
	var lost []*command
	for _, cmd := range x.commands {
		if !cmd.ended && cmd.text != "DONE" {
			cmd.first, cmd.tag = cmd.tag, 0
			lost = append(lost, cmd)
		}
	}
	return c.send(lost)
}

// isTimeout tells whether an error is the end of a wait.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
