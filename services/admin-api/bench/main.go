// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the registry on SQLite, from the inside: how long it takes to count
// the listeners of all shards, which a scheduler asks for, and how long a read of one user
// takes meanwhile, which a Subscribe begins with. Invariant: reads are measured only while a
// count is under way, and each must find its user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
	"mailpush.internal/services/admin-api/internal/store"
)

const (
	shards = 1024
	page   = 500
	client = "bench"
)

func main() {
	users := flag.Int("users", 200_000, "registered users")
	counts := flag.Int("counts", 20, "how often their listeners are counted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := bench(ctx, os.Stdout, *users, *counts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, stdout io.Writer, users, counts int) (err error) {
	dir, err := os.MkdirTemp("", "mailpush-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := store.Open(ctx, secret.New("sqlite://"+filepath.Join(dir, "registry.db")), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	begun := time.Now()
	if err := fill(ctx, s, users); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "bench: %d users, stored at %.0f/s\n", users, float64(users)/time.Since(begun).Seconds())

	for _, policy := range []decide.Clients{nil, {client}} {
		loads, reads, err := measure(ctx, s, policy, users, counts)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "  clients allowed %v: counting p50 %v max %v; reading a user meanwhile p50 %v p99 %v max %v (%d reads)\n",
			policy, quantile(loads, 0.5), quantile(loads, 1), quantile(reads, 0.5), quantile(reads, 0.99), quantile(reads, 1), len(reads))
		if policy != nil { // the one that has to look users' clients up
			fmt.Fprintf(stdout, "result: loads_ms=%.0f\nresult: read_during_loads_ms=%.1f\n",
				milliseconds(quantile(loads, 0.5)), milliseconds(quantile(reads, 0.99)))
		}
	}
	return nil
}

func user(n int) registry.UserID { return registry.UserID{Context: "1", User: fmt.Sprint("user-", n)} }

// fill stores users as Subscribe does; one in a hundred has a client that is another.
func fill(ctx context.Context, s *store.Store, users int) error {
	for first := 0; first < users; first += page {
		var list []registry.Enrolment
		for n := first; n < min(first+page, users); n++ {
			name := client
			if n%100 == 0 {
				name = "other"
			}
			list = append(list, enrolment(user(n), n, name))
		}
		errs, err := s.Subscribe(ctx, list)
		if failed := errors.Join(append(errs, err)...); failed != nil {
			return failed
		}
	}
	return nil
}

func enrolment(u registry.UserID, n int, client string) registry.Enrolment {
	return registry.Enrolment{
		Subscription: registry.Subscription{
			ID: fmt.Sprintf("sub_%026d", n), UserID: u, Client: client, Topics: []string{"mail:new"}, CreatedAt: time.Now(),
			Target:  registry.Target{Transport: registry.Webhook, Address: "https://hook.example/" + u.User},
			Signing: registry.Signing{Scheme: registry.SchemeV1, Version: 1},
			Cursors: []registry.Cursor{{Folder: "INBOX", UIDValidity: 1, UID: 1}},
		},
		Before:     registry.User{UserID: u, Enabled: true, Credential: registry.Credential{State: registry.CredentialNone}},
		MailStore:  "demo",
		Credential: &registry.Credential{State: registry.CredentialStored, Kind: registry.KindPassword, Version: 1},
	}
}

// measure counts all listeners again and again, and reads users meanwhile.
func measure(ctx context.Context, s *store.Store, allowed decide.Clients, users, counts int) (loads, reads []time.Duration, err error) {
	all := edge.Shards{
		Policy: decide.Policy{
			AllowPermanentPush: true, AllowedClients: allowed, CredStorage: true,
			PermanentBackends: map[string]bool{"imapidle": true}, Stores: map[string]string{"demo": "imapidle"},
		},
		Shards: shards, Epochs: s, Mailboxes: s,
	}
	counted, failed := make(chan []time.Duration, 1), make(chan error, 1)
	go func() {
		took, err := count(ctx, all, counts)
		failed <- err
		counted <- took
	}()
	for n := 0; ; n++ {
		select {
		case err := <-failed:
			return <-counted, reads, err
		default:
		}
		u := user(n * 7919 % users)
		begun := time.Now()
		found, err := s.Registered(ctx, []registry.UserID{u})
		reads = append(reads, time.Since(begun))
		if err != nil || len(found) != 1 {
			return nil, nil, errors.Join(fmt.Errorf("reading %s: found %d", u, len(found)), err, <-failed)
		}
	}
}

// count counts all listeners so many times, and returns how long each took.
func count(ctx context.Context, all edge.Shards, times int) (took []time.Duration, err error) {
	for range times {
		begun := time.Now()
		if _, _, err = all.Loads(ctx); err != nil {
			break
		}
		took = append(took, time.Since(begun))
	}
	return took, err
}

func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
