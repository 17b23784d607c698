// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestWhichReportIsTold(t *testing.T) {
	t.Parallel()
	absent := pump.Absence{Since: time.Unix(1, 0), Last: time.Unix(2, 0)}
	for name, c := range map[string]struct{ before, newer, want EndpointReport }{
		"the newest":                    {EndpointReport{Outcome: Failing}, EndpointReport{Outcome: Healthy}, EndpointReport{Outcome: Healthy}},
		"the newest reason":             {EndpointReport{Outcome: Failing}, EndpointReport{Outcome: Failing, Reason: "x"}, EndpointReport{Outcome: Failing, Reason: "x"}},
		"gone, and absent still":        {EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Failing, Absence: absent}, EndpointReport{Outcome: Gone}},
		"not gone, for it fails now":    {EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Failing}, EndpointReport{Outcome: Failing}},
		"not gone, for it works":        {EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Healthy}, EndpointReport{Outcome: Healthy}},
		"confirmed, though it fails":    {EndpointReport{Outcome: Confirmed}, EndpointReport{Outcome: Failing}, EndpointReport{Outcome: Confirmed}},
		"confirmed, then gone":          {EndpointReport{Outcome: Confirmed}, EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Gone}},
		"failing, then gone":            {EndpointReport{Outcome: Failing}, EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Gone}},
		"of a newer revision whatever":  {EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Failing, Revision: 1}, EndpointReport{Outcome: Failing, Revision: 1}},
		"not of an older one, whatever": {EndpointReport{Outcome: Failing, Revision: 1}, EndpointReport{Outcome: Gone}, EndpointReport{Outcome: Failing, Revision: 1}},
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
		"as a reset from where the first began": {
			entry{cursor: at(3), resetFrom: at(90)}, entry{cursor: at(1), resetFrom: at(3)}, entry{cursor: at(1), resetFrom: at(90)},
		},
		"as a reset when mails have followed": {
			entry{cursor: at(3), resetFrom: at(90)}, entry{cursor: at(4)}, entry{cursor: at(4), resetFrom: at(90)},
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
