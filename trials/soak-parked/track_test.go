// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestGrowthIsOfTheLowestPoints(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		resident []int64 // a minute between two
		want     float64
	}{
		"flat, with peaks": {[]int64{200, 100, 300, 500, 300, 200, 100, 300, 100}, 1},
		"growing":          {[]int64{100, 105, 110, 115, 120, 125, 130, 135, 140}, 1.3},
		"shrinking":        {[]int64{200, 200, 200, 200, 200, 100, 100, 100, 100}, 0.5},
		"not watched":      {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watched := track{begun: time.Now()}
			for n, resident := range test.resident {
				watched.note(watched.begun.Add(time.Duration(n)*time.Minute), resident)
			}
			if got := watched.growth(8 * time.Minute); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
