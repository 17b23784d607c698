// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func batchOf(users ...string) []*request {
	var out []*request
	for _, user := range users {
		out = append(out, &request{user: user, commands: []Command{Status()}})
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	const good = `["doveadmResponse",[{"uidnext":"7","n":5,"none":null}],"t1"]`
	for name, c := range map[string]struct {
		answer string
		want   string // a part of the reason; empty when it is one
	}{
		"an answer":        {"[" + good + "]", ""},
		"spaces":           {" [ " + good + " ] ", ""},
		"nothing":          {"", "no JSON"},
		"half":             {"[" + good, "no JSON"},
		"no list":          {`{"a":1}`, "no JSON"},
		"nobody":           {"[]", "not to what was asked"},
		"another's tag":    {`[["doveadmResponse",[],"t2"]]`, "not to what was asked"},
		"one too many":     {"[" + good + `,["doveadmResponse",[],"t9"]]`, "nobody asked"},
		"twice":            {"[" + good + "," + good + "]", "twice"},
		"two parts":        {`[["doveadmResponse",[]]]`, "no JSON"},
		"rows are none":    {`[["doveadmResponse",{"a":"b"},"t1"]]`, "cannot be read"},
		"rows of lists":    {`[["doveadmResponse",[["a"]],"t1"]]`, "cannot be read"},
		"unknown kind":     {`[["surprise",[],"t1"]]`, "no known kind"},
		"unknown error":    {`[["error",{"type":"unknownMethod"},"t1"]]`, "does not know"},
		"error of strings": {`[["error",["a"],"t1"]]`, "cannot be read"},
		"tag is a number":  {`[["doveadmResponse",[],1]]`, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, err := parse([]byte(c.answer), batchOf("u"), 1)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Reason, c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			want := [][]Answer{{{Rows: []Row{{"uidnext": "7", "n": "5", "none": ""}}}}}
			if diff := cmp.Diff(want, answers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzParse holds that any bytes are an answer to each command, or an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`[["doveadmResponse",[{"uidnext":"7"}],"t1"],["doveadmResponse",[],"t2"]]`,
		`[["error",{"type":"exitCode","exitCode":67},"t1"],["doveadmResponse",[{"uid":"1","hdr.from":"a\nb"}],"t2"]]`,
		`[["doveadmResponse",[{"a":{"b":[1]}}],"t1"],["doveadmResponse",null,"t2"]]`,
		`[[`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		batch := batchOf("a", "b")
		answers, err := parse(raw, batch, 1)
		if err == nil && (len(answers) != 2 || len(answers[0]) != 1 || len(answers[1]) != 1) {
			t.Errorf("%d answers", len(answers))
		}
		if err != nil && err.Kind != Broken && err.Kind != TooLarge {
			t.Errorf("kind %s", err.Kind)
		}
	})
}
