// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/pushtest"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// settleTime is how long the last pushes may take.
const settleTime = 30 * time.Second

// kind is a way for mail to become a push.
type kind struct {
	name, store, what string
	content           mailv1.Content
	state             mailv1.ListenerState // unspecified: nobody listens
	share             int                  // of the mailboxes, one part in so many
}

// kinds are measured one after the other.
func kinds() []kind {
	const waiting, idle = mailv1.ListenerState_LISTENER_STATE_WAITING, mailv1.ListenerState_LISTENER_STATE_IDLE
	return []kind{
		{name: "alone", what: "no listener", share: 1},
		{"push", "bench", "Dovecot tells the mail", mailv1.Content_CONTENT_ENVELOPE, waiting, 1},
		{"read", "bench", "Dovecot tells, doveadm reads", mailv1.Content_CONTENT_READ, waiting, 1},
		{"idle", idleStore, "IDLE", mailv1.Content_CONTENT_ENVELOPE, idle, 10},
	}
}

func (k kind) box(n int) string { return fmt.Sprintf("%s-%d", k.name, n) }

func (k kind) mailboxes(o options) int { return max(o.mailboxes/k.share, 1) }

// result is what was measured of a kind.
type result struct {
	lmtp   []time.Duration // from the beginning of a delivery to its acceptance
	pushed []time.Duration // from the acceptance to the push
	cpu    time.Duration   // of Dovecot, with the delivery
}

// run delivers the mails of a kind at the rate, and takes the times.
func (t *track) run(ctx context.Context, k kind, o options) error {
	r := &result{}
	t.results[k.name] = r
	accepted := make(map[string]time.Time, o.mails)
	cpu := t.dovecot.CPU()
	defer func() { r.cpu = t.dovecot.CPU() - cpu }()
	var mu sync.Mutex
	group, within := errgroup.WithContext(ctx)
	tick := time.NewTicker(time.Second / time.Duration(o.rate))
	defer tick.Stop()
	for n := range o.mails {
		select {
		case <-tick.C:
		case <-within.Done():
			return group.Wait()
		}
		group.Go(func() error {
			box, subject := k.box(n%k.mailboxes(o)), fmt.Sprintf("%s %d", k.name, n)
			began := time.Now()
			if err := t.dovecot.Deliver(box, []byte("From: Bench <bench@example.org>\r\nSubject: "+subject+"\r\n\r\nHello.\r\n")); err != nil {
				return err
			}
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			accepted[subject] = now
			r.lmtp = append(r.lmtp, now.Sub(began))
			return nil
		})
	}
	if err := group.Wait(); err != nil || k.state == mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED {
		return err
	}
	at, err := t.arrivals.await(ctx, accepted)
	for subject, when := range accepted {
		r.pushed = append(r.pushed, at[subject].Sub(when))
	}
	return err
}

// arrivals takes pushes and knows when the mail of each subject came first.
type arrivals struct {
	*pushtest.Receiver

	mu sync.Mutex
	at map[string]time.Time
}

func newArrivals() (*arrivals, error) {
	a := &arrivals{at: make(map[string]time.Time)}
	var err error
	a.Receiver, err = pushtest.New(pushtest.Options{Answer: a.take, Forget: true})
	return a, err
}

func (a *arrivals) take(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	defer pushtest.Accept(w, request, push)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range push.Data.Events {
		if a.at[event.Subject].IsZero() {
			a.at[event.Subject] = push.At
		}
	}
}

// await waits until all mails have been pushed.
func (a *arrivals) await(ctx context.Context, mails map[string]time.Time) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at := make(map[string]time.Time, len(mails))
		a.mu.Lock()
		for subject := range mails {
			if came := a.at[subject]; !came.IsZero() {
				at[subject] = came
			}
		}
		a.mu.Unlock()
		if len(at) == len(mails) {
			return at, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d mails were pushed", len(at), len(mails))
		}
	}
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *track) report(w io.Writer) error {
	p := func(times []time.Duration, q float64) float64 { return milliseconds(quantile(times, q)) }
	fmt.Fprintf(w, "\n%-32s %8s %10s %10s %10s %10s %10s\n", "milliseconds", "mails", "Dovecot", "LMTP p50", "LMTP p99", "push p50", "push p99")
	for _, k := range kinds() {
		r := t.results[k.name]
		fmt.Fprintf(w, "%-32s %8d %10.2f %10.1f %10.1f", k.what, len(r.lmtp), r.cpuEach(), p(r.lmtp, 0.5), p(r.lmtp, 0.99))
		if len(r.pushed) > 0 {
			fmt.Fprintf(w, " %10.1f %10.1f", p(r.pushed, 0.5), p(r.pushed, 0.99))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "Dovecot: processor time of all its processes, each mail's delivery included")
	fmt.Fprintln(w, "push: from LMTP's acceptance to the request, below 0 when it came before")
	for _, k := range []struct{ name, kind string }{{"dovecot_push", "push"}, {"dovecot_read", "read"}, {"imapidle_push", "idle"}} {
		pushed := t.results[k.kind].pushed
		fmt.Fprintf(w, "result: %s_latency_ms_p50=%.1f\nresult: %s_latency_ms_p99=%.1f\n", k.name, p(pushed, 0.5), k.name, p(pushed, 0.99))
	}
	_, err := fmt.Fprintf(w, "result: lmtp_added_ms_p99=%.1f\nresult: dovecot_cpu_ms_per_mail=%.2f\n",
		p(t.results["push"].lmtp, 0.99)-p(t.results["alone"].lmtp, 0.99), t.results["push"].cpuEach())
	return err
}

// cpuEach is Dovecot's processor time for each mail, in milliseconds.
func (r *result) cpuEach() float64 { return milliseconds(r.cpu) / float64(len(r.lmtp)) }
