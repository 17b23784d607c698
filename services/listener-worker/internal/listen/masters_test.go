// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestARefusedMasterUserIsTriedByOneListenerAtATime(t *testing.T) {
	t.Parallel()
	m := newMasters(machine.Settings{})
	said := &mailbox.Failure{Class: mailbox.ClassMasterRefused, Reason: "no"}
	began := time.Now()
	if m.turn("main", began) != nil {
		t.Error("a store that has refused nobody is not tried")
	}
	alarms := 0
	for range 1000 { // all that were under way
		if m.refused("main", said, began) {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms", alarms)
	}
	tries := 0
	for second := range 600 {
		for range 50 {
			now := began.Add(time.Duration(second) * time.Second)
			switch m.turn("main", now) {
			case nil:
				tries++
				if m.refused("main", said, now) {
					t.Errorf("an alarm after %d s", second)
				}
			case said:
			default:
				t.Fatal("refused with other words")
			}
		}
	}
	if want := 42; tries != want { // after 1, 3, 7, 15 s, then every 15 s
		t.Errorf("%d tries in ten minutes, want %d", tries, want)
	}
	if m.turn("other", began) != nil {
		t.Error("another store's refusal counts")
	}
	if !m.refused("main", said, began.Add(alarmEvery)) {
		t.Error("no alarm after another while")
	}
	m.accepted("main")
	if m.turn("main", began.Add(alarmEvery)) != nil {
		t.Error("mended, and still refused")
	}
}
