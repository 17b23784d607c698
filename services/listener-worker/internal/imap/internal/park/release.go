// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"sync"
	"unsafe"
)

// A TLS connection keeps the buffers that it has read into for its life: what the largest
// record so far took, 23 KB after one of 16 KB. This file, and no other, reaches into
// [tls.Conn] to give them back while they are empty. It finds the fields by their names and
// types, tries all of it on a connection of its own before it believes that, and does
// nothing where a release of Go has made them otherwise.

// fields are where a tls.Conn has its buffers.
type fields struct {
	rawInput uintptr // [bytes.Buffer]: records as they came
	hand     uintptr // [bytes.Buffer]: handshake messages
	input    uintptr // [bytes.Reader]: what is decrypted and not read yet, inside rawInput
}

// releasable are the fields, nil when buffers cannot be released.
//
//nolint:gochecknoglobals // what this release of Go is like
var releasable = sync.OnceValue(func() *fields {
	f := find(reflect.TypeFor[tls.Conn]())
	if f == nil || !f.prove() {
		return nil
	}
	return f
})

// CanRelease tells whether [Release] does anything under this release of Go. The first call
// takes about a millisecond.
func CanRelease() bool { return releasable() != nil }

// Release gives back the buffers of a TLS connection that hold nothing. No read of it may
// be in flight. Other connections are left as they are.
func Release(conn net.Conn) {
	c, ok := conn.(*tls.Conn)
	if f := releasable(); ok && f != nil {
		f.release(c)
	}
}

// find looks for the fields, nil where they are not as they should be.
func find(conn reflect.Type) *fields {
	var f fields
	buffer, reader := reflect.TypeFor[bytes.Buffer](), reflect.TypeFor[bytes.Reader]()
	for _, want := range []struct {
		name string
		kind reflect.Type
		into *uintptr
	}{{"rawInput", buffer, &f.rawInput}, {"hand", buffer, &f.hand}, {"input", reader, &f.input}} {
		field, has := conn.FieldByName(want.name)
		if !has || field.Type != want.kind || len(field.Index) != 1 {
			return nil
		}
		*want.into = field.Offset
	}
	return &f
}

func (f *fields) of(c *tls.Conn) (rawInput, hand *bytes.Buffer, input *bytes.Reader) {
	at := func(offset uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(c), offset) } //nolint:gosec // find has proven the offsets
	return (*bytes.Buffer)(at(f.rawInput)), (*bytes.Buffer)(at(f.hand)), (*bytes.Reader)(at(f.input))
}

func (f *fields) release(c *tls.Conn) {
	rawInput, hand, input := f.of(c)
	if rawInput.Len() == 0 && input.Len() == 0 {
		*rawInput, *input = bytes.Buffer{}, bytes.Reader{}
	}
	if hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
}
