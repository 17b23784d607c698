// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestWhichReportIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, newer, want Report }{
		"the newest":                    {Report{Outcome: Failing}, Report{Outcome: Healthy}, Report{Outcome: Healthy}},
		"the newest reason":             {Report{Outcome: Failing}, Report{Outcome: Failing, Reason: "x"}, Report{Outcome: Failing, Reason: "x"}},
		"gone, though it fails":         {Report{Outcome: Gone}, Report{Outcome: Failing}, Report{Outcome: Gone}},
		"gone, though it works":         {Report{Outcome: Gone}, Report{Outcome: Healthy}, Report{Outcome: Gone}},
		"confirmed, though it fails":    {Report{Outcome: Confirmed}, Report{Outcome: Failing}, Report{Outcome: Confirmed}},
		"confirmed, then gone":          {Report{Outcome: Confirmed}, Report{Outcome: Gone}, Report{Outcome: Gone}},
		"failing, then gone":            {Report{Outcome: Failing}, Report{Outcome: Gone}, Report{Outcome: Gone}},
		"of a newer revision whatever":  {Report{Outcome: Gone}, Report{Outcome: Failing, Revision: 1}, Report{Outcome: Failing, Revision: 1}},
		"not of an older one, whatever": {Report{Outcome: Failing, Revision: 1}, Report{Outcome: Gone}, Report{Outcome: Failing, Revision: 1}},
	} {
		r := newReporter(nil)
		r.add(c.before)
		r.add(c.newer)
		if got := r.take(); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: told %+v", name, got)
		}
	}
}

func TestWhichCursorIsStored(t *testing.T) {
	t.Parallel()
	at := func(uid uint32) mailbox.Cursor { return mailbox.Cursor{UIDValidity: 7, UID: uid} }
	letters := func(uids ...uint32) []DeadLetter {
		var out []DeadLetter
		for _, uid := range uids {
			out = append(out, DeadLetter{Skip: pump.Skip{From: uid}})
		}
		return out
	}
	for name, c := range map[string]struct{ before, newer, want entry }{
		"the newest": {entry{cursor: at(11)}, entry{cursor: at(12)}, entry{cursor: at(12)}},
		"as a rewind when one of them is": {
			entry{cursor: at(3), rewind: true}, entry{cursor: at(4)}, entry{cursor: at(4), rewind: true},
		},
		"with all dead letters in order": {
			entry{cursor: at(11), letters: letters(10, 11)}, entry{cursor: at(12), letters: letters(12)},
			entry{cursor: at(12), letters: letters(10, 11, 12)},
		},
		"without what was before a replay": {
			entry{cursor: at(20), rewind: true, letters: letters(11)}, entry{cursor: at(12), replay: 1}, entry{cursor: at(12), replay: 1},
		},
	} {
		if diff := cmp.Diff(c.want, c.newer.over(c.before), cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
