// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/transport"
)

func explains(t *testing.T, p *pump.Pump, now time.Time, want pump.Explanation) {
	t.Helper()
	if diff := cmp.Diff(want, p.Explain(now)); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

// What the endpoint said last is known until it accepts something.
func TestExplainTellsOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	explains(t, p, epoch(), pump.Explanation{})
	play(t, p, begun())
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 12})
	p.Step(pump.Sent{Result: transport.Result{Class: transport.Auth, Detail: "401"}}, epoch())
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 12, Result: transport.Auth})
	later := epoch().Add(time.Hour)
	for _, event := range []pump.Event{pump.Tick{}, pump.Turn{}, fetched(11, 12, 11, 12), answer(transport.OK)} {
		p.Step(event, later)
	}
	explains(t, p, later, pump.Explanation{FolderEnd: 12, LastPush: later})
}

func TestExplainTellsWhoIsNotToBlame(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	play(t, p, begun())
	p.Step(pump.Sent{Result: transport.Result{Class: transport.Retry, Unmade: true, Detail: "opening the signing secret"}}, epoch())
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 12, Unmade: true})
	later := epoch().Add(time.Hour)
	p.Step(pump.Tick{}, later)
	p.Step(pump.Turn{}, later)
	p.Step(pump.Fetched{Failed: true}, later)
	explains(t, p, later, pump.Explanation{FolderEnd: 12, Unmade: true, Unreadable: true})
}

// Mail that is gone before its push is remembered until another one is accepted.
func TestExplainTellsOfMailThatIsGone(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	for _, event := range []pump.Event{head(13), pump.Turn{}, fetched(11, 12)} {
		p.Step(event, epoch())
	}
	gone := pump.Unannounced{At: epoch(), Reason: pump.MailGone, First: 11, Last: 12}
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 12, Unannounced: gone})
	for _, event := range []pump.Event{head(14), pump.Turn{}, fetched(13, 13, 13), answer(transport.OK)} {
		p.Step(event, epoch())
	}
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 13, LastPush: epoch()})
}

// A cursor that is ahead of the folder's end is told while the reset is owed, and after it,
// until a mail is pushed.
func TestExplainTellsOfACursorAhead(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_BATCH)
	p.Step(head(8), epoch())
	ahead := pump.Unannounced{At: epoch(), Reason: pump.CursorAhead, First: 8, Last: 10}
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 7, Unannounced: ahead})
	p.Step(pump.Turn{}, epoch())
	p.Step(answer(transport.OK), epoch())
	explains(t, p, epoch(), pump.Explanation{FolderEnd: 7, Unannounced: ahead, LastPush: epoch()})
	for _, event := range []pump.Event{head(9), pump.Turn{}, fetched(8, 8, 8), answer(transport.OK)} {
		p.Step(event, epoch().Add(time.Hour))
	}
	explains(t, p, epoch().Add(time.Hour), pump.Explanation{FolderEnd: 8, LastPush: epoch().Add(time.Hour)})
}
