// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// track is how much memory there was in the course of time.
type track struct {
	begun   time.Time
	samples []sample
}

type sample struct {
	at       time.Time
	resident int64 // bytes
}

func (t *track) note(at time.Time, resident int64) {
	t.samples = append(t.samples, sample{at, resident})
}

// lowest is the least there was in a while, 0 when nothing was noted.
func (t *track) lowest(from, upto time.Time) int64 {
	least := int64(0)
	for _, s := range t.samples {
		if !s.at.Before(from) && !s.at.After(upto) && (least == 0 || s.resident < least) {
			least = s.resident
		}
	}
	return least
}

// growth is the least of the end over the least of the beginning, 0 when one of them is
// not known.
func (t *track) growth(length time.Duration) float64 {
	part := min(window, length/4)
	if len(t.samples) == 0 {
		return 0
	}
	last := t.samples[len(t.samples)-1].at
	first := t.lowest(t.begun, t.begun.Add(part))
	if first == 0 {
		return 0
	}
	return float64(t.lowest(last.Add(-part), last)) / float64(first)
}
