// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/backoff"
)

func TestRegistrationsAreReadAsTheyAreTold(t *testing.T) {
	t.Parallel()
	told := Registration{Worker: "aaaabbbbcccc1", Lease: 0x70cc99ad70ca0f05}
	line, err := told.line()
	if err != nil || string(line) != `{"worker":"aaaabbbbcccc1","lease":"70cc99ad70ca0f05"}`+"\n" {
		t.Fatalf("%s, %v", line, err)
	}
	if got, err := parseRegistration(bytes.TrimSuffix(line, []byte("\n"))); err != nil || got != told {
		t.Errorf("%v, %v", got, err)
	}
	// Of a later release.
	if got, err := parseRegistration([]byte(`{"worker":"w","lease":"1","ttl":5}`)); err != nil || got != (Registration{"w", 1}) {
		t.Errorf("%v, %v", got, err)
	}
	for line, want := range map[string]string{
		``:                             "unexpected end",
		`{"worker":"w","lease":"0"}`:   `lease: "0" is none`,
		`{"worker":"w","lease":"-1"}`:  `lease: "-1" is none`,
		`{"worker":"w","lease":"xyz"}`: "lease: ",
		`{"worker":"w","lease":"ffffffffffffffff"}`: "out of range",
		`{"worker":"w"}`:           "lease: ",
		`{"lease":"1"}`:            "worker: it is empty",
		`{"worker":1,"lease":"1"}`: "reading a registration",
	} {
		if _, err := parseRegistration([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func FuzzParseRegistration(f *testing.F) {
	f.Add([]byte(`{"worker":"w","lease":"70cc99ad70ca0f05"}`))
	f.Add([]byte(`{"worker":"\u0000","lease":"-0"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		of, err := parseRegistration(line)
		if err != nil {
			return
		}
		if of.Lease <= 0 || of.Worker == "" {
			t.Errorf("%q gives %+v", line, of)
		}
		again, err := of.line()
		if err != nil || bytes.IndexByte(again, '\n') != len(again)-1 {
			t.Errorf("%q is told as %q, %v", line, again, err)
		}
		if got, err := parseRegistration(again[:len(again)-1]); err != nil || got.Lease != of.Lease {
			t.Errorf("%q is read as %+v, %v", again, got, err)
		}
	})
}

func TestStreak(t *testing.T) {
	t.Parallel()
	restarts := backoff.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	var s streak
	for i, step := range []struct {
		lived time.Duration
		n     int
		pause time.Duration // at most
	}{
		{time.Hour, 0, 0},
		{time.Second, 1, 100 * time.Millisecond},
		{0, 2, 200 * time.Millisecond},
		{59 * time.Second, 3, 400 * time.Millisecond},
		{0, 4, 800 * time.Millisecond},
		{0, 5, time.Second},
		{time.Minute, 0, 0},
		{time.Second, 1, 100 * time.Millisecond},
	} {
		s.add(step.lived, time.Minute)
		longest, shortest := s.pause(restarts, 1), s.pause(restarts, 0)
		if s.n != step.n || longest != step.pause || shortest != step.pause/2 {
			t.Errorf("step %d: %d short lives, a pause of %s to %s, want %d and up to %s", i, s.n, shortest, longest, step.n, step.pause)
		}
	}
}
