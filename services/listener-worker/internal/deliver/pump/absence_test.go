// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"strings"
	"testing"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// The answers of endpoints in the tests.
func notFound() transport.Result {
	return transport.Result{Class: transport.Gone, Detail: "the endpoint answered 404"}
}

func goneForGood() transport.Result {
	return transport.Result{Class: transport.Gone, Final: true, Detail: "the endpoint answered 410"}
}

func noAnswer() transport.Result {
	return transport.Result{Class: transport.Retry, Unanswered: true, Detail: "connection refused"}
}

func broken() transport.Result {
	return transport.Result{Class: transport.Retry, Detail: "the endpoint answered 503"}
}

// answered is an answer, at a time.
type answered struct {
	at     time.Duration
	result transport.Result
}

// hourly is the same answer each hour.
func hourly(from, to int, result transport.Result) []answered {
	var out []answered
	for hour := from; hour <= to; hour++ {
		out = append(out, answered{time.Duration(hour) * time.Hour, result})
	}
	return out
}

// ask gives a pump, with one mail more each time, the answers at their times. It returns
// what the pump says of the endpoint.
func ask(p *pump.Pump, answers []answered) []pump.Effect {
	var out []pump.Effect
	for i, a := range answers {
		now := epoch().Add(a.at)
		grown := head(12 + uint32(i))
		for _, event := range []pump.Event{pump.Awake{}, pump.Tick{}, grown, pump.Turn{}} {
			p.Step(event, now)
		}
		uid := p.Status(now).Cursor.UID + 1
		p.Step(pump.Fetched{Head: grown, From: uid, Upto: uid, Mails: mails(uid)}, now)
		out = append(out, p.Step(pump.Sent{Result: a.result}, now)...)
	}
	return out
}

// times is how often the endpoint was said to be gone.
func times(effects []pump.Effect) (gone int) {
	for _, effect := range effects {
		if _, is := effect.(pump.EndpointGone); is {
			gone++
		}
	}
	return gone
}

func TestEvidenceThatAnEndpointIsGone(t *testing.T) {
	t.Parallel()
	ok := transport.Result{}
	at := func(at time.Duration, result transport.Result) answered { return answered{at, result} }
	all := func(parts ...[]answered) (out []answered) {
		for _, part := range parts {
			out = append(out, part...)
		}
		return out
	}
	for name, c := range map[string]struct {
		answers []answered
		gone    int
	}{
		"one 404":                          {[]answered{at(0, notFound())}, 0},
		"one 410":                          {[]answered{at(0, goneForGood())}, 0},
		"410 twice within ten seconds":     {[]answered{at(0, goneForGood()), at(10*time.Second, goneForGood())}, 0},
		"410 twice within 59 seconds":      {[]answered{at(0, goneForGood()), at(59*time.Second, goneForGood())}, 0},
		"410 twice, a minute apart":        {[]answered{at(0, goneForGood()), at(time.Minute, goneForGood())}, 1},
		"410, and again":                   {[]answered{at(0, goneForGood()), at(time.Second, goneForGood()), at(time.Hour, goneForGood()), at(2*time.Hour, goneForGood())}, 2},
		"410, then 404":                    {[]answered{at(0, goneForGood()), at(time.Hour, notFound())}, 0},
		"410, 404, 410":                    {[]answered{at(0, goneForGood()), at(time.Minute, notFound()), at(2*time.Minute, goneForGood())}, 1},
		"404, then 410":                    {[]answered{at(0, notFound()), at(time.Hour, goneForGood())}, 0},
		"410, 200, 410":                    {[]answered{at(0, goneForGood()), at(time.Minute, ok), at(2*time.Minute, goneForGood())}, 0},
		"410, 503, 410":                    {[]answered{at(0, goneForGood()), at(time.Minute, broken()), at(2*time.Minute, goneForGood())}, 0},
		"410, no answer, 410":              {[]answered{at(0, goneForGood()), at(time.Minute, noAnswer()), at(2*time.Minute, goneForGood())}, 1},
		"404 for 23 hours":                 {hourly(0, 23, notFound()), 0},
		"404 for 24 hours":                 {hourly(0, 24, notFound()), 1},
		"404 for a day and no answer once": {all(hourly(0, 11, notFound()), hourly(12, 12, noAnswer()), hourly(13, 24, notFound())), 1},
		"404 and, once, 200":               {all(hourly(0, 22, notFound()), hourly(23, 23, ok), hourly(24, 46, notFound())), 0},
		"404, 200, 404 for a day":          {all(hourly(0, 22, notFound()), hourly(23, 23, ok), hourly(24, 48, notFound())), 1},
		"404 and, once, 503":               {all(hourly(0, 22, notFound()), hourly(23, 23, broken()), hourly(24, 46, notFound())), 0},
		"404 and, once, 400":               {all(hourly(0, 22, notFound()), hourly(23, 23, refusal().Result), hourly(24, 46, notFound())), 0},
		"404, and a day later again":       {[]answered{at(0, notFound()), at(25*time.Hour, notFound())}, 0},
		"410 and then 404 for a day":       {all(hourly(0, 0, goneForGood()), hourly(1, 24, notFound())), 1},
		"nothing but silence for two days": {hourly(0, 48, noAnswer()), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := times(ask(begin(mailv1.Mode_MODE_EACH), c.answers)); got != c.gone {
				t.Errorf("said to be gone %d times, want %d", got, c.gone)
			}
		})
	}
}

// What an owner has seen counts for the next one; what was not told does not.
func TestEvidenceOutlivesTheOwner(t *testing.T) {
	t.Parallel()
	from := func(since, last time.Duration) *pump.Pump {
		return pump.New(policy(), mailbox.Cursor{UIDValidity: uv, UID: 10}, pump.Options{
			Mode: mailv1.Mode_MODE_EACH, Confirmed: true,
			FailingSince: epoch().Add(since), Absence: pump.Absence{Since: epoch().Add(since), Last: epoch().Add(last)},
		})
	}
	once := []answered{{0, notFound()}}
	for name, c := range map[string]struct {
		pump *pump.Pump
		gone int
	}{
		"for a day":                   {from(-24*time.Hour, -2*time.Hour), 1},
		"for less":                    {from(-23*time.Hour, -2*time.Hour), 0},
		"not asked for half that day": {from(-24*time.Hour, -12*time.Hour), 0},
	} {
		if got := times(ask(c.pump, once)); got != c.gone {
			t.Errorf("%s: said to be gone %d times, want %d", name, got, c.gone)
		}
	}
	p := from(-24*time.Hour, -2*time.Hour)
	if got := ask(p, []answered{{0, transport.Result{}}, {time.Hour, notFound()}}); times(got) != 0 || !said[pump.Healthy](got) {
		t.Errorf("after an answer of another kind: %v", got)
	}
}

// said tells whether something of a kind was said.
func said[E pump.Effect](effects []pump.Effect) bool {
	for _, effect := range effects {
		if _, is := effect.(E); is {
			return true
		}
	}
	return false
}

// Each step is told at once: the evidence has to outlive its owner, and so has its end.
func TestAbsenceIsToldWhenItBeginsAndEnds(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_EACH)
	got := ask(p, []answered{{0, notFound()}})
	if !said[pump.Absent](got) || got[1] != pump.Effect(missing("the endpoint answered 404")) {
		t.Errorf("at the beginning: %v", got)
	}
	if got := ask(p, []answered{{time.Minute, notFound()}}); said[pump.Absent](got) || said[pump.Failing](got) {
		t.Errorf("a minute later: %v", got)
	}
	got = ask(p, []answered{{time.Hour, notFound()}})
	want := pump.Failing{Since: epoch(), Reason: "the endpoint answered 404", Absence: pump.Absence{Since: epoch(), Last: epoch().Add(time.Hour)}}
	if got[0] != pump.Effect(want) {
		t.Errorf("an hour later: %v", got)
	}
	got = ask(p, []answered{{2 * time.Hour, broken()}})
	if !said[pump.Present](got) || got[1] != pump.Effect(pump.Failing{Since: epoch(), Reason: "the endpoint answered 503"}) {
		t.Errorf("at the end: %v", got)
	}
	got = ask(p, []answered{{3 * time.Hour, notFound()}, {4 * time.Hour, transport.Result{}}})
	if !said[pump.Present](got) || !said[pump.Healthy](got) {
		t.Errorf("when it accepts: %v", got)
	}
}

// An endpoint that was replaced is not the one that was absent, and whoever was told of
// that one hears that it works.
func TestReplacedEndpointIsNotAbsent(t *testing.T) {
	t.Parallel()
	p := begin(mailv1.Mode_MODE_EACH)
	ask(p, hourly(0, 23, notFound()))
	p.Step(pump.Renewed{Mode: mailv1.Mode_MODE_EACH, Confirmed: true}, epoch().Add(23*time.Hour))
	if got := ask(p, hourly(24, 25, notFound())); times(got) != 0 {
		t.Errorf("said to be gone: %v", got)
	}
	p = begin(mailv1.Mode_MODE_EACH)
	ask(p, hourly(0, 3, notFound()))
	p.Step(pump.Renewed{Mode: mailv1.Mode_MODE_EACH, Confirmed: true}, epoch().Add(4*time.Hour))
	if got := ask(p, hourly(4, 4, transport.Result{})); !said[pump.Healthy](got) {
		t.Errorf("nobody hears that it works: %v", got)
	}
}

// In real turns and waits, an endpoint that says 404 for a day is asked often enough.
func TestAbsenceIsProvenByThePumpsOwnPace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, begin(mailv1.Mode_MODE_BATCH))
	w.answer = func(transport.Batch) transport.Result { return notFound() }
	w.arrive(1)
	w.run(24 * time.Hour)
	if len(w.gone) > 0 {
		t.Fatalf("gone within a day: %v", w.gone)
	}
	w.run(90 * time.Minute)
	if len(w.gone) == 0 || !strings.HasPrefix(w.gone[0], "the endpoint answered 404, and nothing but") {
		t.Errorf("after a day: %v", w.gone)
	}
}
