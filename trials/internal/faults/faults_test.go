// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"os"
	"testing"

	"mailpush.internal/trials/internal/faults"
)

func TestMain(m *testing.M) {
	if code, played := faults.Role(os.Args, os.Stderr); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// Every scenario on one cluster: what is left behind by one is there for the next.
func TestClusterOutlivesEveryFault(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: left out with -short") //nolint:forbidigo // only -short leaves it out
	}
	w, err := faults.New(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, scenario := range faults.Scenarios() {
		if err := w.Run(t.Context(), scenario); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Report(t.Output()); err != nil {
		t.Error(err)
	}
}
