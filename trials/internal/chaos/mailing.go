// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/dovecottest"
)

// mailing delivers mails to mailboxes in turn, at an even pace, and remembers which.
type mailing struct {
	dovecot   *dovecottest.Server
	mailboxes int

	mu        sync.Mutex
	delivered map[string][]string // by mailbox: subjects, as they were accepted
	count     int
}

// run delivers mails, as many as it is told, spread over a length of time.
func (m *mailing) run(ctx context.Context, mails int, length time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(abreast)
	pace := time.NewTicker(max(length/time.Duration(mails), 1))
	defer pace.Stop()
	for n := range mails {
		select {
		case <-pace.C:
			group.Go(func() error { return m.deliver(box(n%m.mailboxes), n) })
		case <-ctx.Done():
			return group.Wait()
		}
	}
	return group.Wait()
}

func (m *mailing) deliver(box string, n int) error {
	subject := fmt.Sprintf("mail %d", n)
	text := "From: Zoe <zoe@example.org>\r\nTo: " + box + "@example.org\r\nSubject: " + subject + "\r\n\r\nHello.\r\n"
	if err := m.dovecot.Deliver(login(box), []byte(text)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delivered[box] = append(m.delivered[box], subject)
	m.count++
	return nil
}

// progress is how many have been delivered.
func (m *mailing) progress() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// expected is what each subscription must be pushed.
func (m *mailing) expected() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string][]string)
	for box, mails := range m.delivered {
		for _, device := range devices() {
			out[subscriptionOf(box, device.name)] = mails
		}
	}
	return out
}
