// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// took is a mail taken in and answered, under the id it must have.
func took(subscription, mail string, uid uint32) Taken {
	id := "evt_" + mail
	return Taken{Subscription: subscription, Mail: mail, UID: uid, ID: id, TrueID: id, Answered: true}
}

// broken is one taken in without an answer.
func broken(subscription, mail string, uid uint32) Taken {
	t := took(subscription, mail, uid)
	t.Answered = false
	return t
}

// under is one that came under a certain id.
func under(id string, t Taken) Taken {
	t.ID = id
	return t
}

// Whoever judges must see what is wrong, and nothing else.
func TestJudge(t *testing.T) {
	t.Parallel()
	expected := map[string][]string{"phone": {"a", "b", "c"}, "tablet": {"a", "b", "c"}}
	tablet := []Taken{took("tablet", "a", 1), took("tablet", "b", 2), took("tablet", "c", 3)}
	for name, test := range map[string]struct {
		phone []Taken
		want  Verdict
	}{
		"all well":        {[]Taken{took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 3)}, Verdict{}},
		"one missing":     {[]Taken{took("phone", "a", 1), took("phone", "c", 3)}, Verdict{Missing: 1}},
		"nothing came":    {nil, Verdict{Missing: 3}},
		"never answered":  {[]Taken{took("phone", "a", 1), broken("phone", "b", 2), took("phone", "c", 3)}, Verdict{Missing: 1}},
		"twice":           {[]Taken{took("phone", "a", 1), took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 3)}, Verdict{Duplicated: 1}},
		"again from afar": {[]Taken{took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 3), took("phone", "a", 1), took("phone", "b", 2)}, Verdict{Duplicated: 2}},
		"broken, then answered": {
			[]Taken{broken("phone", "a", 1), broken("phone", "a", 1), took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 3)},
			Verdict{Duplicated: 2},
		},
		"in the wrong order": {[]Taken{took("phone", "b", 2), took("phone", "a", 1), took("phone", "c", 3)}, Verdict{Reordered: 1}},
		"two late":           {[]Taken{took("phone", "c", 3), took("phone", "a", 1), took("phone", "b", 2)}, Verdict{Reordered: 2}},
		"answered in the wrong order": {
			[]Taken{broken("phone", "a", 1), took("phone", "b", 2), took("phone", "a", 1), took("phone", "c", 3)},
			Verdict{Duplicated: 1, Reordered: 1},
		},
		"taken in in the wrong order": {
			[]Taken{took("phone", "a", 1), broken("phone", "c", 3), took("phone", "b", 2), took("phone", "c", 3)},
			Verdict{Duplicated: 1, Reordered: 1},
		},
		"a second id": {
			[]Taken{took("phone", "a", 1), under("evt_x", took("phone", "a", 1)), took("phone", "b", 2), took("phone", "c", 3)},
			Verdict{Duplicated: 1, WrongID: 1},
		},
		"an id of its own for each subscription": {
			[]Taken{under("evt_x", took("phone", "a", 1)), took("phone", "b", 2), took("phone", "c", 3)}, Verdict{WrongID: 1},
		},
		"one id for two mails": {
			[]Taken{took("phone", "a", 1), under("evt_a", took("phone", "b", 2)), took("phone", "c", 3)}, Verdict{WrongID: 1},
		},
		"no id":           {[]Taken{under("", took("phone", "a", 1)), took("phone", "b", 2), took("phone", "c", 3)}, Verdict{WrongID: 1}},
		"a second UID":    {[]Taken{took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 4)}, Verdict{WrongID: 1}},
		"a foreign mail":  {[]Taken{took("phone", "a", 1), took("phone", "b", 2), took("phone", "c", 3), took("phone", "z", 9)}, Verdict{WrongID: 1}},
		"several at once": {[]Taken{took("phone", "c", 3), took("phone", "a", 1), took("phone", "a", 1)}, Verdict{Missing: 1, Duplicated: 1, Reordered: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The other subscription's come before: it is well in every case.
			got := Judge(expected, append(slices.Clip(tablet), test.phone...))
			test.want.Expected, test.want.Delivered = 6, 6-test.want.Missing
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Verdict{}, "Examples")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			bad := test.want.Missing+test.want.Reordered+test.want.WrongID > 0
			if err := got.Err(); (err != nil) != bad {
				t.Errorf("the verdict's error: %v", err)
			}
		})
	}
}

func TestIDThatIsOneEverywhereAndYetNotTheMails(t *testing.T) {
	t.Parallel()
	taken := []Taken{under("evt_z", took("phone", "a", 1)), under("evt_z", took("tablet", "a", 1))}
	if got := Judge(map[string][]string{"phone": {"a"}, "tablet": {"a"}}, taken); got.WrongID != 1 {
		t.Errorf("verdict %+v", got)
	}
}

func TestReportIsForPrograms(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	verdict := Verdict{Expected: 7, Delivered: 6, Missing: 1, Duplicated: 2, Reordered: 3, WrongID: 4, Kills: 5}
	verdict.Report(&out)
	want := "result: expected=7\nresult: delivered=6\nresult: missing=1\nresult: duplicated=2\nresult: reordered=3\nresult: wrong_id=4\nresult: kills=5\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	verdict.Answers = &WrongAnswers{NotFound: 6, Refused: 7, Certificates: 8}
	out.Reset()
	verdict.Report(&out)
	want += "result: answers_404=6\nresult: answers_400=7\nresult: wrong_certificates=8\nresult: subscriptions_lost=0\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("with wrong answers (-want +got)\n%s", diff)
	}
}

// A subscription that is lost is an error, though each mail of before was pushed.
func TestLostSubscriptionsAreAnError(t *testing.T) {
	t.Parallel()
	for lost, bad := range []bool{false, true} {
		verdict := Verdict{Expected: 1, Delivered: 1, Answers: &WrongAnswers{SubscriptionsLost: lost}}
		if err := verdict.Err(); (err != nil) != bad {
			t.Errorf("%d lost: %v", lost, err)
		}
	}
}

// What is the same everywhere may be wrong all the same.
func TestJudgeSeesConsistentMistakes(t *testing.T) {
	t.Parallel()
	expected := map[string][]string{"phone": {"a", "b"}}
	for name, test := range map[string]struct{ first, second string }{
		"an id that two mails share": {"evt_1", "evt_1"},
		"a mail without an id":       {"evt_1", ""},
	} {
		taken := []Taken{under(test.first, took("phone", "a", 1)), under(test.second, took("phone", "b", 2))}
		if got := Judge(expected, taken); got.WrongID == 0 {
			t.Errorf("%s: verdict %+v", name, got)
		}
	}
}
