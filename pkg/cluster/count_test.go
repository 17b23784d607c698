// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import "testing"

func TestWorkersAreThoseWithALease(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	count := func(want int) {
		t.Helper()
		if got, err := client.Workers(t.Context()); err != nil || got != want {
			t.Errorf("%d workers, %v; want %d", got, err, want)
		}
	}
	count(0)
	first, second := join(t, client), join(t, client)
	report(t, first)
	report(t, second)
	count(2)
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	count(1)
}
