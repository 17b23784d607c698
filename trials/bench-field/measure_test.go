// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mailpush.internal/trials/internal/field"
)

// well is a run in which nothing is wrong.
func well() *results {
	return &results{
		served: field.Served{After: 9 * time.Second, All: true, Shown: true}, gone: make([]field.Lost, len(proxies())),
		login: []error{nil, nil}, returned: []time.Duration{20 * time.Second, 39 * time.Second},
	}
}

// Whatever is lost, or takes too long, is an error.
func TestResultsAreJudged(t *testing.T) {
	t.Parallel()
	o := options{listeners: 1000, rate: 100} // 10 s, and 30 s beyond
	if err := well().err(o); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*results){
		"a neighbour waits":    func(r *results) { r.served.After = 30 * time.Second },
		"a subscription":       func(r *results) { r.gone[1].Subscriptions = 1 },
		"a login":              func(r *results) { r.logins = 1 },
		"a mail":               func(r *results) { r.refused.Mails = 1 },
		"an old password":      func(r *results) { r.login[1] = errors.New("stopped") },
		"listeners stay away":  func(r *results) { r.returned[1] = 40 * time.Second },
		"listeners are slower": func(r *results) { r.returned[0] = time.Minute },
	} {
		r := well()
		spoil(r)
		if r.err(o) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReportIsForPrograms(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := well()
	r.gone[0].Mails, r.logins, r.login[0] = 2, 1, errors.New("stopped")
	r.report(&out)
	var got []string
	for line := range strings.Lines(out.String()) {
		if name, found := strings.CutPrefix(line, "result: "); found {
			got = append(got, strings.TrimSpace(name))
		}
	}
	want := "neighbour_served_s=9.0 gone_lost=3 refused_lost=0 refused_login_changes=1 store_return_60_s=20.0 store_return_160_s=39.0 store_return_s=39.0"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
