// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/cluster"
)

// While nobody comes or goes nothing is written, however often leases are renewed.
// A crash and a join concern a few workers each, and not the whole cluster.
func TestNothingIsWrittenWhileNothingHappens(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	size := dimensions{listeners: 10_000, workers: 20, shards: 256, lease: cluster.MinLeaseTTL, renewals: 6}
	var out bytes.Buffer
	m, err := bench(t.Context(), &out, size)
	if err != nil {
		t.Fatal(err)
	}
	if m.idle != (cost{}) || m.renewals < size.renewals*size.workers {
		t.Errorf("over %d renewals, %+v was written", m.renewals, m.idle)
	}
	// The end of the lease, the plan, the reports of those who take over 13 shards, and
	// the removal of what is left of the one that is gone.
	if m.crash.transactions == 0 || m.crash.transactions > 1+1+13+1 {
		t.Errorf("a crash cost %+v", m.crash)
	}
	// The registration, and for each batch a revocation, reports, a grant and reports.
	if m.join.transactions == 0 || m.join.transactions > 40 {
		t.Errorf("a join cost %+v", m.join)
	}
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^result: (\w+)=[0-9]+$`).FindAllStringSubmatch(out.String(), -1) {
		names = append(names, match[1])
	}
	want := []string{
		"etcd_bytes_stored", "etcd_txns_crash", "etcd_entries_crash", "etcd_txns_join", "etcd_entries_join", "etcd_txns_idle_hour",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}
