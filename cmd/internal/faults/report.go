// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"io"
	"time"

	"mailpush.internal/cmd/internal/rig"
)

// coverBound is how long a shard may be without a holder: the longest outage of all
// of etcd, and what a take-over takes on a busy machine.
const coverBound = outage + 45*time.Second

func (w *World) boxes() []string {
	out := make([]string, mailboxes)
	for n := range out {
		out[n] = rig.Box(n)
	}
	return out
}

// Report judges the run until now, and tells out.
func (w *World) Report(out io.Writer) error {
	planned := w.plans.close() // nobody looks any more
	v := w.history.Judge(coverBound)
	missing := w.receiver.missing(w.boxes(), w.mails)
	doubled, wrong := w.receiver.doubled()
	fmt.Fprintf(out, "%d holds, %d claims judged, longest time without a holder %.1f s, registry linearizable: %v, %d looks at the plan\n",
		v.Holds, v.Claims, v.Longest.Seconds(), v.Linear, w.plans.looks)
	fmt.Fprintf(out, "result: faults=%d\nresult: deliveries=%d\nresult: missing=%d\nresult: duplicated=%d\nresult: wrong_id=%d\n"+
		"result: overlapping_holds=%d\nresult: stale_epochs_accepted=%d\n",
		w.faults, int(w.mails)*mailboxes, missing, doubled, len(wrong), len(v.Overlaps), len(v.Stale))
	if err := v.Err(); err != nil {
		return err
	}
	if planned != nil {
		return planned
	}
	if missing > 0 || len(wrong) > 0 {
		return fmt.Errorf("%d pushes are missing, event ids that changed: %v", missing, wrong)
	}
	return nil
}
