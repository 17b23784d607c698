// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package fifo has a queue from whose middle an element can be taken, too. Everything
// it does costs the same however long it is.
package fifo

// List is such a queue. The zero value is empty.
type List[T any] struct {
	first, last *Element[T]
	length      int
}

// Element is a place in a queue.
type Element[T any] struct {
	Value      T
	prev, next *Element[T]
}

// Next is the place behind, nil at the end.
func (e *Element[T]) Next() *Element[T] { return e.next }

// First is the place that has been there longest, nil when there is none.
func (l *List[T]) First() *Element[T] { return l.first }

// Empty tells whether nothing is in the queue.
func (l *List[T]) Empty() bool { return l.first == nil }

// Len is how many are in the queue.
func (l *List[T]) Len() int { return l.length }

// Push puts a value at the end and returns its place.
func (l *List[T]) Push(value T) *Element[T] {
	e := &Element[T]{Value: value, prev: l.last}
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
	l.length++
	return e
}

// Pop takes out the first; there must be one.
func (l *List[T]) Pop() T {
	e := l.first
	l.Remove(e)
	return e.Value
}

// Remove takes out an element, which must be in this queue.
func (l *List[T]) Remove(e *Element[T]) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	l.length--
}
