// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/trials/internal/field"
)

const (
	// servedWithin is how soon a working endpoint must be served after its origin's return.
	servedWithin = 30 * time.Second
	// returnWithin is what listeners may take beyond the pace of their mail store.
	returnWithin = 30 * time.Second
	failing      = 20 // broken endpoints beside the working ones, and as many that never consented
	receivers    = 20 // with a wrong secret
)

// proxies are how long proxies answer 404, outages how long Dovecot is away.
func proxies() []time.Duration { return []time.Duration{3 * time.Second, 5 * time.Second} }

func outages() []time.Duration { return []time.Duration{60 * time.Second, 160 * time.Second} }

// results are what was measured.
type results struct {
	served   field.Served
	gone     []field.Lost // by proxies
	refused  field.Lost
	login    []error
	logins   int // that were lost
	returned []time.Duration
}

// measure does all that can be done at once, and then what needs everything alone.
func measure(ctx context.Context, w *field.World, o options) (*results, error) {
	r := &results{gone: make([]field.Lost, len(proxies()))}
	all, within := errgroup.WithContext(ctx)
	patience := field.Patience{Within: o.patience}
	all.Go(func() (err error) {
		r.served, err = w.Neighbour(within, field.NeighbourOptions{Failing: failing, Away: o.away, Within: o.patience})
		return err
	})
	for n, lasts := range proxies() {
		all.Go(func() (err error) {
			name := fmt.Sprintf("gone-%.0f", lasts.Seconds())
			r.gone[n], err = w.Gone(within, name, field.GoneOptions{Endpoints: o.endpoints, For: lasts, Patience: patience})
			return err
		})
	}
	all.Go(func() (err error) {
		r.refused, err = w.Refused(within, field.RefusedOptions{Endpoints: receivers, For: o.refused, Patience: patience})
		return err
	})
	all.Go(func() (err error) {
		r.login, err = w.RefusedLogin(within)
		return err
	})
	if err := all.Wait(); err != nil {
		return nil, err
	}
	var err error
	if r.logins, err = w.LoginsLost(ctx); err != nil {
		return nil, err
	}
	for _, away := range outages() {
		took, err := w.StoreReturn(ctx, o.listeners, away, o.patience)
		if err != nil {
			return nil, err
		}
		r.returned = append(r.returned, took)
	}
	return r, nil
}

// goneLost is what the proxies' answers have cost, logins included.
func (r *results) goneLost() int {
	sum := r.logins
	for _, lost := range r.gone {
		sum += lost.Sum()
	}
	return sum
}

// loginWrong counts what a refused login has changed.
func (r *results) loginWrong() int {
	n := 0
	for _, err := range r.login {
		if err != nil {
			n++
		}
	}
	return n
}

func (r *results) report(out io.Writer) {
	fmt.Fprintf(out, "\nneighbour: pushed %.1f s after the origin's first answer (goal: under %v)\n", r.served.After.Seconds(), servedWithin)
	for n, lasts := range proxies() {
		fmt.Fprintf(out, "404 for %v: lost %v\n", lasts, r.gone[n])
	}
	fmt.Fprintf(out, "wrong secret: lost %v\nlogins lost: %d\n", r.refused, r.logins)
	fmt.Fprintf(out, "result: neighbour_served_s=%.1f\nresult: gone_lost=%d\nresult: refused_lost=%d\nresult: refused_login_changes=%d\n",
		r.served.After.Seconds(), r.goneLost(), r.refused.Sum(), r.loginWrong())
	var worst time.Duration
	for n, away := range outages() {
		fmt.Fprintf(out, "result: store_return_%.0f_s=%.1f\n", away.Seconds(), r.returned[n].Seconds())
		worst = max(worst, r.returned[n])
	}
	fmt.Fprintf(out, "result: store_return_s=%.1f\n", worst.Seconds())
}

// err is nil when all is as it must be.
func (r *results) err(o options) error {
	errs := append([]error{r.served.Err(servedWithin)}, r.login...)
	if n := r.goneLost(); n > 0 {
		errs = append(errs, fmt.Errorf("404 for a few seconds has cost %d", n))
	}
	if n := r.refused.Sum(); n > 0 {
		errs = append(errs, fmt.Errorf("a wrong secret has cost %d", n))
	}
	bound := returnWithin + time.Duration(float64(o.listeners)/float64(o.rate)*float64(time.Second))
	for n, away := range outages() {
		if took := r.returned[n]; took >= bound {
			errs = append(errs, fmt.Errorf("after an outage of %v the last listener was back after %v, want less than %v", away, took, bound))
		}
	}
	return errors.Join(errs...)
}
