// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"strings"
	"testing"
)

// A table that says what its own ranks forbid, or nothing at all, is not taken.
func TestParse(t *testing.T) {
	t.Parallel()
	const ranks = `
technology http net/http/...
rank domain domain        -    -
rank edge   domain        -    *
module pkg
  words     domain -       -
service post
hall sorted
  sorting   domain -       -
hall edges
`
	for _, test := range []struct{ name, row, want string }{
		{"a row", "store edge sorting,pkg/words http", ""},
		{"a domain that imports an edge", "store edge - -\n letters domain store -", "letters: it is of rank domain, which does not import services/post/internal/store, of rank edge"},
		{"an edge that imports an edge", "store edge - -\n rpc edge store -", "which does not import services/post/internal/store"},
		{"an exception", "store edge - -\n rpc edge store! -", ""},
		{"a domain that knows a technology", "letters domain - http", "it is of rank domain, which does not know http"},
		{"an exception for a technology", "letters domain - http!", ""},
		{"an unknown rank", "store hedge - -", `store: there is no rank "hedge"`},
		{"an unknown technology", "store edge - ftp", `there is no technology "ftp"`},
		{"an unknown room", "store edge sorted -", "services/post/internal/sorted has no row"},
		{"two rows", "sorting edge - -", "house.txt:11: services/post/internal/sorting has two rows"},
		{"too few columns", "store edge -", `house.txt:11: "store edge -" is no line of the table`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(ranks + test.row)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHallsAreRead(t *testing.T) {
	t.Parallel()
	for _, service := range table(t).Services {
		if service.Name != "scheduler" {
			continue
		}
		var got []string
		for _, hall := range service.Halls {
			for _, room := range hall.Rooms {
				got = append(got, hall.Name+" "+room.Path)
			}
		}
		want := "planned services/scheduler/internal/assign"
		if len(got) < 5 || got[0] != want {
			t.Errorf("got %q, want 5 rooms and more, of which the first is %q", got, want)
		}
		return
	}
	t.Error("the scheduler has no halls")
}
