// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
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

// A terminal gives an East Asian character two cells, an accent of its own none: what
// follows must stay in line.
func TestWidthsAreCells(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	writeTable(&out, []column{{"Folder", false}, {"N", true}}, [][]string{{"受信箱", "1"}, {"편지함", "10"}, {"Archiv", "100"}, {"Cafe\u0301", "2"}, {"ｱﾙｺ", "3"}})
	want := "Folder    N\n" +
		"受信箱    1\n" +
		"편지함   10\n" +
		"Archiv  100\n" +
		"Cafe\u0301      2\n" +
		"ｱﾙｺ       3\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// What a terminal obeys is escaped in JSON, too, and is the same text to a program.
func TestJSONShowsNoControlCharacters(t *testing.T) {
	t.Parallel()
	const words = "\x1b[2J \u009b2J \u0085 \u007f \u202egnp.exe\u2066 \u200b \ufeff \U000e0041 \u2028 Grüße 受信箱 \\ \" \n"
	var out strings.Builder
	if err := writeJSON(&out, &adminv1.TestSubscriptionResponse{Detail: words}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U is shown", r)
		}
	}
	if !strings.Contains(out.String(), "Grüße 受信箱") {
		t.Errorf("what can be read is escaped: %s", out.String())
	}
	var read adminv1.TestSubscriptionResponse
	if err := protojson.Unmarshal([]byte(out.String()), &read); err != nil || read.GetDetail() != words {
		t.Errorf("read as %q, %v", read.GetDetail(), err)
	}
}

func FuzzEscapedMeansTheSame(f *testing.F) {
	f.Add("\u009b\U000e0041\u202e")
	f.Fuzz(func(t *testing.T, words string) {
		raw, err := json.Marshal(words)
		var want, got string
		if err != nil || json.Unmarshal(raw, &want) != nil || json.Unmarshal([]byte(escaped(raw)), &got) != nil || got != want {
			t.Errorf("%q is read as %q", want, got)
		}
	})
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
