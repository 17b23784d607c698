// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import "sync"

// buffers are lent for the time of an operation, so that their number is that of the
// operations, not that of the connections.
//
//nolint:gochecknoglobals // a pool is of use only when all share it
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func getBuffer() []byte {
	buffer, _ := buffers.Get().(*[bufferSize]byte)
	return buffer[:0]
}

// putBuffer takes back a buffer that has not grown; others are left to the collector.
func putBuffer(b []byte) {
	if cap(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b[:bufferSize]))
	}
}
