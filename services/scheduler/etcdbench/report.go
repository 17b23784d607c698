// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"mailpush.internal/pkg/cluster/embedded"
)

// cost is what was written to etcd.
type cost struct {
	// transactions changed keys; entries are those and all else that goes through
	// the replicated log, such as taking and ending leases.
	transactions int64
	entries      uint64
}

func costOf(before, after embedded.Counts) cost {
	return cost{after.Revision - before.Revision, after.Entries - before.Entries}
}

func report(w io.Writer, m measured) {
	fmt.Fprintf(w, "\n%-40s %12s %12s\n", "what etcd has to write", "transactions", "raft entries")
	for _, row := range []struct {
		name string
		cost cost
	}{
		{"all workers join, and the first plan", m.first},
		{fmt.Sprintf("%.0f s of nothing", m.idleFor.Seconds()), m.idle},
		{"a crash", m.crash},
		{"a join", m.join},
	} {
		fmt.Fprintf(w, "%-40s %12d %12d\n", row.name, row.cost.transactions, row.cost.entries)
	}
	fmt.Fprintf(w, `
stored after the first plan: %d bytes in the database, with indexes and the history that compaction takes away;
the newest values are %d bytes of it.
nothing: %d renewals of leases were acknowledged meanwhile, and what they write is counted. An hour or a day is
the same over again: nothing here has a period of more than the 30 s after which a watch is listed anew. etcd's
own compaction writes an entry only after something else was written.

`, m.stored, m.values, m.renewals)
	fmt.Fprintf(w, "result: etcd_bytes_stored=%d\n", m.stored)
	fmt.Fprintf(w, "result: etcd_txns_crash=%d\n", m.crash.transactions)
	fmt.Fprintf(w, "result: etcd_entries_crash=%d\n", m.crash.entries)
	fmt.Fprintf(w, "result: etcd_txns_join=%d\n", m.join.transactions)
	fmt.Fprintf(w, "result: etcd_entries_join=%d\n", m.join.entries)
	hours := m.idleFor.Seconds() / time.Hour.Seconds()
	fmt.Fprintf(w, "result: etcd_txns_idle_hour=%.0f\n", math.Ceil(float64(m.idle.entries)/hours))
}
