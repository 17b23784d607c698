// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package online tries to reach what a service will need: etcd, its database, the other
// services, mail stores. Invariant: a look changes nothing and joins nothing, takes as long
// as one try at most however much there is to reach, and says of each what came of it.
package online

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// patience is how long one try may take.
const patience = 5 * time.Second

// Probe is something to reach.
type Probe struct {
	// What it is, and where.
	What string
	// Try reaches it, and returns what it said of itself, which may be nothing.
	Try func(ctx context.Context) (string, error)
}

// Look tries all at once and writes a line for each, in their order. The error says how
// many were not reached.
func Look(ctx context.Context, w io.Writer, probes []Probe) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said, errs := make([]string, len(probes)), make([]error, len(probes))
	var all sync.WaitGroup
	for i, probe := range probes {
		all.Go(func() { said[i], errs[i] = probe.Try(ctx) })
	}
	all.Wait()
	failed := 0
	for i, probe := range probes {
		switch {
		case errs[i] != nil:
			failed++
			fmt.Fprintf(w, "%-14s %s: %v\n", "NOT reached", probe.What, errs[i])
		case said[i] != "":
			fmt.Fprintf(w, "%-14s %s, %s\n", "reached", probe.What, said[i])
		default:
			fmt.Fprintf(w, "%-14s %s\n", "reached", probe.What)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d are not reached", failed, len(probes))
	}
	return nil
}
