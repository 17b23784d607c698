// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import "slices"

// manyBox is the mailbox of one login; guarded by Many. Its UIDs begin at 1 and have no
// gaps.
type manyBox struct {
	own   uint32      // mails that it alone got
	conns []*manyConn // logged in
}

func (b *manyBox) leave(c *manyConn) {
	b.conns = slices.DeleteFunc(b.conns, func(other *manyConn) bool { return other == c })
}

// box finds the mailbox of a login; m.mu is held.
func (m *Many) box(login string) *manyBox {
	b := m.boxes[login]
	if b == nil {
		b = new(manyBox)
		m.boxes[login] = b
	}
	return b
}

// next is UIDNEXT of a mailbox, of nobody's when it is nil; m.mu is held.
func (m *Many) next(b *manyBox) uint32 {
	if b == nil {
		return m.all + 1
	}
	return m.all + b.own + 1
}

// Deliver adds a mail to every mailbox and tells all connections in IDLE. It returns the
// UID of the mail in mailboxes that got none of their own.
func (m *Many) Deliver() (uid uint32) {
	m.mu.Lock()
	m.all++
	uid = m.all
	var news []func()
	for c := range m.conns {
		news = m.appendNews(news, c)
	}
	m.mu.Unlock()
	for _, tell := range news {
		tell()
	}
	return uid
}

// DeliverTo adds a mail to the mailbox of one login and tells its connections in IDLE.
func (m *Many) DeliverTo(login string) (uid uint32) {
	m.mu.Lock()
	b := m.box(login)
	b.own++
	uid = m.next(b) - 1
	var news []func()
	for _, c := range b.conns {
		news = m.appendNews(news, c)
	}
	m.mu.Unlock()
	for _, tell := range news {
		tell()
	}
	return uid
}

// appendNews appends how to tell a connection in IDLE how many mails there are; m.mu is
// held, and is not while it is told.
func (m *Many) appendNews(news []func(), c *manyConn) []func() {
	if !c.idle {
		return news
	}
	c.told = m.next(c.box)
	said := appendExists(nil, c.told-1)
	return append(news, func() { c.say(said) })
}

// Say says something to all connections in IDLE, in one TLS record where it fits, and
// returns how many they are.
func (m *Many) Say(text string) int {
	m.mu.Lock()
	var idle []*manyConn
	for c := range m.conns {
		if c.idle {
			idle = append(idle, c)
		}
	}
	m.mu.Unlock()
	for _, c := range idle {
		c.say([]byte(text))
	}
	return len(idle)
}

// enter notes who has logged in.
func (m *Many) enter(c *manyConn, login string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Logins++
	if c.box != nil {
		c.box.leave(c)
	}
	c.box = m.box(login)
	c.box.conns = append(c.box.conns, c)
}

// uidNext is UIDNEXT, and notes whether the connection hears of the folder with it.
func (m *Many) uidNext(c *manyConn, tells bool) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.next(c.box)
	if tells {
		c.told = next
	}
	return next
}

// appendUntold appends how many mails there are if the connection has not heard of all.
func (m *Many) appendUntold(said []byte, c *manyConn) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.next(c.box)
	if c.told != next {
		said = appendExists(said, next-1)
	}
	c.told = next
	return said
}

// beginIdle notes that IDLE stands on a connection. It returns how many mails there are if
// some came while the client was busy, 0 if it has heard of all.
func (m *Many) beginIdle(c *manyConn) (exists uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.idle {
		return 0
	}
	c.idle = true
	m.counts.Idle++
	m.counts.Idles++
	if !c.arrived {
		c.arrived = true
		m.counts.Served++
		m.counts.Arrived++
	}
	if next := m.next(c.box); c.told != next {
		c.told, exists = next, next-1
	}
	return exists
}

func (m *Many) endIdle(c *manyConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.idle {
		c.idle = false
		m.counts.Idle--
	}
}
