// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package assign

import (
	"cmp"
	"slices"
)

// hold is a unit with the epoch it is held under and, on a revoke list, the
// generation that revoked it.
type hold struct {
	unit       int
	epoch      uint64
	generation uint64
}

// holds are a worker's units, ascending, each once. A worker has few of many, so a
// sorted list is smaller and quicker than a map, and is stored in this order anyway.
type holds []hold

// ordered mends what was stored in another order or twice; the highest epoch stays.
func (h holds) ordered() holds {
	ascending := true
	for i := 1; i < len(h) && ascending; i++ {
		ascending = h[i-1].unit < h[i].unit
	}
	if ascending {
		return h
	}
	slices.SortFunc(h, func(x, y hold) int {
		return cmp.Or(cmp.Compare(x.unit, y.unit), cmp.Compare(y.epoch, x.epoch))
	})
	return slices.CompactFunc(h, func(x, y hold) bool { return x.unit == y.unit })
}

func (h holds) find(unit int) (int, bool) {
	return slices.BinarySearchFunc(h, unit, func(x hold, unit int) int { return cmp.Compare(x.unit, unit) })
}

func (h holds) has(unit int) bool {
	_, found := h.find(unit)
	return found
}

// get returns the hold of a unit, or the zero hold.
func (h holds) get(unit int) hold {
	if i, found := h.find(unit); found {
		return h[i]
	}
	return hold{}
}

// newest returns the highest epoch, 0 of nothing.
func (h holds) newest() uint64 {
	var epoch uint64
	for _, hold := range h {
		epoch = max(epoch, hold.epoch)
	}
	return epoch
}

// with and without change the list they are called on.
func (h holds) with(added hold) holds {
	i, found := h.find(added.unit)
	if found {
		h[i] = added
		return h
	}
	return slices.Insert(h, i, added)
}

func (h holds) without(unit int) holds {
	if i, found := h.find(unit); found {
		return slices.Delete(h, i, i+1)
	}
	return h
}
