// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"runtime"
	"testing"
)

// A release of Go whose crypto/tls has other buffers must be found out here, not by a
// worker that takes three times the memory.
func TestThisReleaseOfGoCanRelease(t *testing.T) {
	t.Parallel()
	if !CanRelease() {
		t.Fatalf("the buffers of crypto/tls of %s are not as release.go knows them: read tls.Conn, and mend it", runtime.Version())
	}
}

// What is not as expected is found out, and then nothing is touched.
func TestForeignConnectionsAreLeftAlone(t *testing.T) {
	t.Parallel()
	type buffers struct{ rawInput, hand bytes.Buffer } //nolint:unused // it is found by its name
	for name, of := range map[string]reflect.Type{
		"no such field": reflect.TypeFor[struct{ rawInput, hand bytes.Buffer }](),
		"another type":  reflect.TypeFor[struct{ rawInput, hand, input bytes.Buffer }](),
		"pointers": reflect.TypeFor[struct {
			rawInput, hand *bytes.Buffer
			input          bytes.Reader
		}](),
		"somewhere further": reflect.TypeFor[struct {
			buffers
			input bytes.Reader
		}](),
	} {
		if find(of) != nil {
			t.Errorf("%s: found", name)
		}
	}
	right := find(reflect.TypeFor[tls.Conn]())
	if right == nil {
		t.Fatal("not found")
	}
	for name, wrong := range map[string]fields{
		"swapped":  {rawInput: right.hand, hand: right.rawInput, input: right.input},
		"only one": {rawInput: right.hand, hand: right.hand, input: right.input},
	} {
		if wrong.prove() {
			t.Errorf("%s: proven", name)
		}
	}
	here, there := net.Pipe()
	Release(here) // has no effect
	_, _ = here.Close(), there.Close()
}
