// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package fifo_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
)

// Whatever is put in and taken out, from wherever: what is left is in the order in
// which it came.
func TestListProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list fifo.List[int]
		var places []*fifo.Element[int]
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				places = append(places, list.Push(next))
				next++
			},
			"pop": func(t *rapid.T) {
				if len(places) == 0 {
					return
				}
				if got := list.Pop(); got != places[0].Value {
					t.Fatalf("%d came first, not %d", got, places[0].Value)
				}
				places = places[1:]
			},
			"remove": func(t *rapid.T) {
				if len(places) > 0 {
					at := rapid.IntRange(0, len(places)-1).Draw(t, "which")
					list.Remove(places[at])
					places = slices.Delete(slices.Clone(places), at, at+1)
				}
			},
			"": func(t *rapid.T) {
				var got []*fifo.Element[int]
				for e := list.First(); e != nil; e = e.Next() {
					got = append(got, e)
				}
				if !slices.Equal(got, places) || list.Len() != len(places) || list.Empty() != (len(places) == 0) {
					t.Fatalf("%d are there, of %d; said to be %d", len(got), len(places), list.Len())
				}
			},
		})
	})
}
