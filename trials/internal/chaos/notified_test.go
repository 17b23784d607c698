// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"testing"
	"time"

	"mailpush.internal/trials/internal/chaos"
)

// notified is a small run in which Dovecot tells of mail, and a fifth of that gets lost.
func notified(t *testing.T) chaos.Options {
	t.Helper()
	o := small(t)
	o.Notified = true
	o.NotifyOdds = chaos.NotifyOdds{Late: 0.1, Refuse: 0.1, Drop: 0.1, Twice: 0.05}
	o.Outages = 3
	return o
}

// Whatever becomes of Dovecot's notifications, and whoever is killed: every mail is pushed
// to every subscription, in order and under one id.
func TestNothingIsLostWithNotifications(t *testing.T) {
	t.Parallel()
	verdict := judged(t, notified(t))
	if err := verdict.Err(); err != nil {
		t.Error(err)
	}
	if verdict.Expected != 1000 || verdict.Kills != 6 {
		t.Errorf("%d pushes were expected and %d processes killed, want 1000 and 6", verdict.Expected, verdict.Kills)
	}
	// Mailboxes that get mail before they are registered are not told of.
	if verdict.Notifications < 250 || verdict.LostNotifications < 25 || verdict.LateNotifications == 0 {
		t.Errorf("%d notifications, %d of them lost and %d late: too few to show anything",
			verdict.Notifications, verdict.LostNotifications, verdict.LateNotifications)
	}
}

// The same run must find out workers that trust notifications alone: else it could not
// tell that they do not.
func TestTrustInNotificationsAloneIsFoundOut(t *testing.T) {
	t.Parallel()
	o := notified(t)
	o.HintsAlone = true
	// Endpoints that fail would delay pushes as well; with these, what does not come within
	// the patience was not looked for.
	o.Odds = chaos.Odds{}
	// A worker looks at all mailboxes that it takes over, and in turn at one a second.
	o.Mailboxes, o.Kills = 80, 0
	o.Length = 12 * time.Second
	o.Patience = 15 * time.Second
	verdict := judged(t, o)
	if verdict.Missing == 0 || verdict.Err() == nil {
		t.Errorf("nothing is found missing: %+v", verdict)
	}
	if verdict.Delivered < verdict.Expected/2 {
		t.Errorf("%d of %d pushes were made: whatever was lost, it was not for notifications alone", verdict.Delivered, verdict.Expected)
	}
}
