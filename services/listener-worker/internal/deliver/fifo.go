// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

// fifo is a queue from whose middle an element can be taken, too. Everything it does
// costs the same however long it is. The zero value is empty.
type fifo[T any] struct {
	first, last *element[T]
	length      int
}

// element is a place in a queue.
type element[T any] struct {
	value      T
	prev, next *element[T]
}

func (f *fifo[T]) empty() bool { return f.first == nil }

func (f *fifo[T]) push(value T) *element[T] {
	e := &element[T]{value: value, prev: f.last}
	if f.last == nil {
		f.first = e
	} else {
		f.last.next = e
	}
	f.last = e
	f.length++
	return e
}

// pop takes out the first; there must be one.
func (f *fifo[T]) pop() T {
	e := f.first
	f.remove(e)
	return e.value
}

// remove takes out an element, which must be in this queue.
func (f *fifo[T]) remove(e *element[T]) {
	if e.prev == nil {
		f.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		f.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	f.length--
}
