// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"time"

	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// alarmEvery is how often one mail store's refusal of the master user is logged.
const alarmEvery = 10 * time.Minute

// masters knows which mail stores refuse the master user. All mailboxes of a store
// share one master password, so those that were refused leave it to one of them to try
// whether it has been mended: a thousand tries look like an attack to the mail store.
type masters struct {
	first, most time.Duration // between two tries
	refusals    map[string]*refusal
}

// refusal is what one mail store has said.
type refusal struct {
	said         *mailbox.Failure
	wait         time.Duration
	next, logged time.Time // when to try again, when it was logged
}

func newMasters(tuning machine.Settings) masters {
	return masters{
		first: cmp.Or(tuning.MinBackoff, time.Second), most: cmp.Or(tuning.MaxBackoff, 5*time.Minute) / 20,
		refusals: make(map[string]*refusal),
	}
}

// turn tells a refused listener whether to try again: nil when it is the one to do so,
// else what the mail store has said.
func (m masters) turn(store string, now time.Time) *mailbox.Failure {
	r := m.refusals[store]
	switch {
	case r == nil:
		return nil
	case now.Before(r.next):
		return r.said
	}
	r.wait = min(2*r.wait, m.most)
	r.next = now.Add(r.wait)
	return nil
}

// refused notes a refusal, and says whether it is to be logged.
func (m masters) refused(store string, said *mailbox.Failure, now time.Time) (alarm bool) {
	r := m.refusals[store]
	if r == nil {
		r = &refusal{wait: m.first, next: now.Add(m.first)}
		m.refusals[store] = r
	}
	r.said = said
	if alarm = now.Sub(r.logged) >= alarmEvery; alarm {
		r.logged = now
	}
	return alarm
}

// again has the next refused listener be the one to try.
func (m masters) again(store string) {
	if r := m.refusals[store]; r != nil {
		r.next = time.Time{}
	}
}

// accepted forgets a refusal.
func (m masters) accepted(store string) { delete(m.refusals, store) }
