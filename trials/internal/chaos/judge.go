// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Taken is one mail a receiver took in with a push.
type Taken struct {
	Subscription string
	Mail         string // its subject, which no other mail has
	UID          uint32
	ID           string // the event id it came under
	TrueID       string // the one that it has
	// Answered tells whether the receiver said 2xx; else it broke the connection after
	// it had taken the push in.
	Answered bool
}

// Verdict is what the receivers' record shows.
type Verdict struct {
	Expected   int // (subscription, mail) pairs
	Delivered  int // of them, answered with 2xx
	Missing    int
	Duplicated int // times a pair was taken in beyond the first
	Reordered  int // pairs taken in, or answered, for the first time after a later mail
	WrongID    int // mails whose event id is not theirs, or whose id or UID is not the same everywhere
	Kills      int
	Earlier    int // starts of a program of an earlier release

	// Of a mail store that notifies: how often it did, and how many of these got lost or
	// were late.
	Notifications, LostNotifications, LateNotifications int

	// Answers are of a run in which endpoints answer wrongly for a while; nil without.
	Answers *WrongAnswers

	// Examples name some of what is wrong.
	Examples []string
}

// WrongAnswers are how often endpoints gave one, and how many subscriptions were not there
// at the end, or were disabled.
type WrongAnswers struct {
	NotFound, Refused, Certificates int
	SubscriptionsLost               int
}

// maxExamples bounds what is named of each kind.
const maxExamples = 5

// Err is nil when every mail was delivered, in order and under one id, and every
// subscription is there.
func (v *Verdict) Err() error {
	if v.Answers != nil && v.Answers.SubscriptionsLost > 0 {
		return fmt.Errorf("%d subscriptions are lost, %d mails missing", v.Answers.SubscriptionsLost, v.Missing)
	}
	if v.Missing+v.Reordered+v.WrongID == 0 {
		return nil
	}
	return fmt.Errorf("%d missing, %d reordered, %d under a wrong id, e.g. %q", v.Missing, v.Reordered, v.WrongID, v.Examples)
}

// Report writes the verdict for people and programs.
func (v *Verdict) Report(out io.Writer) {
	fmt.Fprintf(out, "result: expected=%d\nresult: delivered=%d\nresult: missing=%d\nresult: duplicated=%d\n"+
		"result: reordered=%d\nresult: wrong_id=%d\nresult: kills=%d\n",
		v.Expected, v.Delivered, v.Missing, v.Duplicated, v.Reordered, v.WrongID, v.Kills)
	if v.Earlier > 0 {
		fmt.Fprintf(out, "result: earlier_starts=%d\n", v.Earlier)
	}
	if v.Notifications > 0 {
		fmt.Fprintf(out, "result: notifications=%d\nresult: notifications_lost=%d\nresult: notifications_late=%d\n",
			v.Notifications, v.LostNotifications, v.LateNotifications)
	}
	if v.Answers != nil {
		v.Answers.report(out)
	}
}

// report writes them.
func (a *WrongAnswers) report(out io.Writer) {
	fmt.Fprintf(out, "result: answers_404=%d\nresult: answers_400=%d\nresult: wrong_certificates=%d\nresult: subscriptions_lost=%d\n",
		a.NotFound, a.Refused, a.Certificates, a.SubscriptionsLost)
}

// pair is a mail that a subscription must be pushed.
type pair struct{ subscription, mail string }

// Judge compares what was taken in, in the order of its arrival, with the mails that
// each subscription must have been pushed.
func Judge(expected map[string][]string, taken []Taken) Verdict {
	var v Verdict
	v.missing(expected, taken)
	v.order(taken)
	v.names(expected, taken)
	return v
}

// missing looks for pairs that were not answered with 2xx, and counts those taken in
// again.
func (v *Verdict) missing(expected map[string][]string, taken []Taken) {
	times, answered := make(map[pair]int), make(map[pair]bool)
	for _, t := range taken {
		p := pair{t.Subscription, t.Mail}
		times[p]++
		answered[p] = answered[p] || t.Answered
	}
	for _, n := range times {
		v.Duplicated += n - 1
	}
	var lost []string
	for _, subscription := range slices.Sorted(maps.Keys(expected)) {
		for _, mail := range expected[subscription] {
			v.Expected++
			if answered[pair{subscription, mail}] {
				v.Delivered++
				continue
			}
			v.Missing++
			lost = append(lost, fmt.Sprintf("missing: %q at %s", mail, subscription))
		}
	}
	v.example(lost)
}

// order looks for mails whose first coming was after that of a later one: at the
// receiver, which may have broken the connection, and among the answers it gave.
func (v *Verdict) order(taken []Taken) {
	var late []string
	wrong := make(map[pair]bool)
	for _, counts := range []func(Taken) bool{
		func(Taken) bool { return true },
		func(t Taken) bool { return t.Answered },
	} {
		highest, seen := make(map[string]uint32), make(map[pair]bool)
		for _, t := range taken {
			p := pair{t.Subscription, t.Mail}
			if !counts(t) || seen[p] {
				continue
			}
			seen[p] = true
			if t.UID < highest[t.Subscription] && !wrong[p] {
				wrong[p] = true
				late = append(late, fmt.Sprintf("reordered: UID %d after %d at %s", t.UID, highest[t.Subscription], t.Subscription))
			}
			highest[t.Subscription] = max(highest[t.Subscription], t.UID)
		}
	}
	v.Reordered = len(wrong)
	v.example(late)
}

// names looks for mails that came under another id than their own or several UIDs, ids
// that several mails came under, and mails that a subscription has nothing to do with.
func (v *Verdict) names(expected map[string][]string, taken []Taken) {
	known := make(map[pair]bool)
	for subscription, mails := range expected {
		for _, mail := range mails {
			known[pair{subscription, mail}] = true
		}
	}
	var bad []string
	first, owner, wrong := make(map[string]Taken), make(map[string]string), make(map[string]bool)
	for _, t := range taken {
		if _, found := first[t.Mail]; !found {
			first[t.Mail] = t
		}
		if _, found := owner[t.ID]; !found {
			owner[t.ID] = t.Mail
		}
		same := t.ID == t.TrueID && first[t.Mail].ID == t.ID && first[t.Mail].UID == t.UID && owner[t.ID] == t.Mail
		if same && known[pair{t.Subscription, t.Mail}] || wrong[t.Mail] {
			continue
		}
		wrong[t.Mail] = true
		bad = append(bad, fmt.Sprintf("wrong id: %q came to %s as %s with UID %d", t.Mail, t.Subscription, t.ID, t.UID))
	}
	v.WrongID = len(wrong)
	v.example(bad)
}

func (v *Verdict) example(found []string) {
	v.Examples = append(v.Examples, found[:min(len(found), maxExamples)]...)
}
