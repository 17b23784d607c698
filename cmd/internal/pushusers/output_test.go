// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// A mail server's words end up in the wide list: they must not reach the terminal as
// commands to it, nor break the table's lines.
func TestTableShowsNoControlCharacters(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeTable(&out, []column{{"Error", false}, {"N", true}}, [][]string{
		{"\x1b[2Jgone\r\nfake  row", "1"},
		{"Grüße", "10"},
	})
	want := "Error                 N\n" +
		"\ufffd[2Jgone\ufffd\ufffdfake  row   1\n" +
		"Grüße                10\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAgeText(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for want, age := range map[string]time.Duration{
		"0s": -time.Minute, "59s": 59 * time.Second, "1m0s": time.Minute, "59m59s": time.Hour - time.Second,
		"1h0m": time.Hour, "23h59m": 24*time.Hour - time.Second, "1d0h": 24 * time.Hour, "400d3h": 400*24*time.Hour + 3*time.Hour,
	} {
		if got := ageText(timestamppb.New(now.Add(-age)), now); got != want {
			t.Errorf("%s: %s, want %s", age, got, want)
		}
	}
	if got := ageText(nil, now); got != "-" {
		t.Errorf("without a beginning: %s", got)
	}
}
