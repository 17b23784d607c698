// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import "testing"

func TestHoldGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		gone, endpoints int64
		want            bool
	}{
		{"one of one", 1, 1, false},
		{"nine of nine are few", 9, 9, false},
		{"ten of ten", 10, 10, true},
		{"ten of twenty", 10, 20, true},
		{"ten of fifty are a fifth, no more", 10, 50, false},
		{"eleven of fifty", 11, 50, true},
		{"150 of 1,000", 150, 1000, false},
		{"201 of 1,000", 201, 1000, true},
	} {
		if got := HoldGone(tt.gone, tt.endpoints); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
