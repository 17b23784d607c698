// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		id       string
		draining bool
		change   func(w *world)
		kind     fault.Kind // of the error; ignored when words is empty
		words    string
		told     []string
	}{
		"drain":   {id: "w1", draining: true, told: []string{"w1@a1 true", "w1@a1 true"}},
		"undrain": {id: "w2", draining: false, told: []string{"w2@a2 false", "w2@a2 false"}},
		"nobody":  {id: "w3", draining: true, kind: fault.NotFound, words: `no live worker has the id "w3"`},
		"not the beginning of an id": {
			id: "w", draining: true, kind: fault.NotFound, words: `no live worker has the id "w"`,
		},
		"the worker is silent": {
			id: "w1", draining: true,
			change: func(w *world) { w.workers.silent["a1"] = fault.New(fault.Unavailable, "the worker does not answer") },
			kind:   fault.Unavailable, words: "the worker does not answer",
		},
		"another worker has the address": {
			id: "w1", draining: true,
			change: func(w *world) { w.workers.silent["a1"] = fault.New(fault.NotFound, "not here any more") },
			kind:   fault.NotFound, words: "not here any more",
		},
		"the scheduler is silent": {
			id: "w1", draining: true,
			change: func(w *world) { w.scheduler.err = fault.New(fault.Unavailable, "the scheduler does not answer") },
			kind:   fault.Unavailable, words: "the scheduler does not answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.change != nil {
				c.change(w)
			}
			for range 2 { // saying it twice is as good as once
				err := w.Drain(t.Context(), c.id, c.draining)
				switch {
				case c.words == "" && err != nil:
					t.Error(err)
				case c.words != "" && (err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words)):
					t.Errorf("got %v, want %q", err, c.words)
				}
			}
			if !slices.Equal(w.workers.told, c.told) {
				t.Errorf("told %q, want %q", w.workers.told, c.told)
			}
		})
	}
}
