// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import "testing"

func TestGuardTouchesOnlyCapabilities(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"capability list":        {"* CAPABILITY IMAP4rev1 ID(E\r\n* 1 FETCH (UID 1)\r\n", "* CAPABILITY IMAP4rev1 ID?E\r\n* 1 FETCH (UID 1)\r\n"},
		"without a space":        {"* CAPABILITY(X\r\n", "* CAPABILITY?X\r\n"},
		"in any case":            {"* capability X(\r\n", "* capability X?\r\n"},
		"with a number":          {"* 7 CAPABILITY X(\r\n", "* 7 CAPABILITY X?\r\n"},
		"with a long number":     {"* 0000000000000000000000000000000000000000000000000000000000000000007 CAPABILITY X(\r\n", "* 0000000000000000000000000000000000000000000000000000000000000000007 CAPABILITY X?\r\n"},
		"response code":          {"* OK [CAPABILITY X( Y] (hi)\r\n", "* OK [CAPABILITY X? Y] ?hi)\r\n"},
		"tagged response code":   {"T1 OK [CAPABILITY (X] hi\r\n", "T1 OK [CAPABILITY ?X] hi\r\n"},
		"tagged nonsense":        {"T1 OM [CAPABILITY (X] hi\r\n", "T1 OM [CAPABILITY ?X] hi\r\n"},
		"other response code":    {"* OK [PERMANENTFLAGS (\\Seen)] CAPABILITY (x)\r\n", "* OK [PERMANENTFLAGS (\\Seen)] CAPABILITY (x)\r\n"},
		"words for people":       {"* BYE see \"CAPABILITY (x)\r\n* CAPABILITY (\r\n", "* BYE see \"CAPABILITY (x)\r\n* CAPABILITY ?\r\n"},
		"a sender's words":       {"* 1 FETCH (X \"* CAPABILITY (\" Y (\"\\\"\r\n* CAPABILITY (\"))\r\n", "* 1 FETCH (X \"* CAPABILITY (\" Y (\"\\\"\r\n* CAPABILITY (\"))\r\n"},
		"a sender's literal":     {"* 1 FETCH (X {14}\r\n* CAPABILITY ( (Y))\r\n* CAPABILITY (\r\n", "* 1 FETCH (X {14}\r\n* CAPABILITY ( (Y))\r\n* CAPABILITY ?\r\n"},
		"an empty literal":       {"* 1 FETCH (X {0}\r\n)\r\n* CAPABILITY (\r\n", "* 1 FETCH (X {0}\r\n)\r\n* CAPABILITY ?\r\n"},
		"braces in quotes":       {"* 1 FETCH (X \"{30}\"\r\n)\r\n* CAPABILITY (\r\n", "* 1 FETCH (X \"{30}\"\r\n)\r\n* CAPABILITY ?\r\n"},
		"after a continuation":   {"+ idling \"\r\n* CAPABILITY (\r\n", "+ idling \"\r\n* CAPABILITY ?\r\n"},
		"after an announcement":  {"* 5 EXISTS\r\n* CAPABILITY (\r\n", "* 5 EXISTS\r\n* CAPABILITY ?\r\n"},
		"after lines of nothing": {"\r\n\n* CAPABILITY (\r\n", "\r\n\n* CAPABILITY ?\r\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := []byte(test.in)
			new(guard).clean(whole)
			if string(whole) != test.want {
				t.Errorf("got  %q\nwant %q", whole, test.want)
			}
			var g guard
			split := []byte(test.in)
			for i := range split {
				g.clean(split[i : i+1])
			}
			if string(split) != test.want {
				t.Errorf("byte by byte: got  %q\nwant %q", split, test.want)
			}
		})
	}
}
