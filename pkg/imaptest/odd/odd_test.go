// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd_test

import (
	"slices"
	"testing"

	"mailpush.internal/pkg/imaptest/odd"
)

func TestServersAreWellSaid(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, server := range odd.Servers() {
		if names[server.Name] {
			t.Errorf("two servers are called %q", server.Name)
		}
		names[server.Name] = true
		ascending := slices.IsSortedFunc(server.Want, func(a, b odd.Mail) int { return int(int64(a.UID) - int64(b.UID)) })
		if !ascending {
			t.Errorf("%s: mails are told of by ascending UID", server.Name)
		}
		for i, step := range server.Steps {
			if n := fields(step); n != 1 {
				t.Errorf("%s: step %d is %d things", server.Name, i+1, n)
			}
		}
		if server.Shut != (len(server.Want) == 0) {
			t.Errorf("%s: wants mails where none can be got at, or none where some can", server.Name)
		}
		if server.Shut && server.Says == "" {
			t.Errorf("%s: a client has to say why it gets no mails", server.Name)
		}
	}
	if len(names) < 80 {
		t.Errorf("%d servers", len(names))
	}
}

// fields counts what a step is.
func fields(s odd.Step) int {
	n := 0
	for _, is := range []bool{
		s.Arrive != nil, s.Add != nil, s.Say != "", s.Expunge != 0, s.Remove != 0, s.Told != 0, s.Came != "" && s.Times > 0,
	} {
		if is {
			n++
		}
	}
	return n
}

func TestServersAreFoundByName(t *testing.T) {
	t.Parallel()
	if server, err := odd.Named("framing: nothing odd"); err != nil || len(server.Want) != 1 {
		t.Errorf("%+v, %v", server, err)
	}
	if _, err := odd.Named("no such thing"); err == nil {
		t.Error("found what there is not")
	}
}
