// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Report judges the run until now, and tells out.
func (w *World) Report(out io.Writer) error {
	planned := errors.Join(w.plans.close(), w.terms.close()) // nobody looks any more
	v := w.history.Judge()
	missing := w.receiver.Missing(mailboxes, 1, w.mails)
	doubled, wrong := w.receiver.Doubled(1, w.mails), w.receiver.Wrong()
	fmt.Fprintln(out, "the longest time a shard was without a holder, seconds:")
	for _, stage := range slices.Sorted(maps.Keys(v.Longest)) {
		fmt.Fprintf(out, "  %-65s %5.2f\n", stage, v.Longest[stage].Seconds())
	}
	fmt.Fprintf(out, "%d holds, %d claims judged, registry linearizable: %v, %d changes of the plan, %d looks at it\n",
		v.Holds, v.Claims, v.Linear, w.terms.changes, w.plans.looks)
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
