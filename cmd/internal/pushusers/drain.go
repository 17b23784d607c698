// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// drainLook is the pause between two looks at a worker that drains.
const drainLook = 250 * time.Millisecond

const aboutDrain = `drain has the shards of a worker moved to the other workers, batch by batch. Each
batch ends its pushes in flight and stores how far it has come before another worker
goes on from there: no mail is missed and none is pushed twice. The worker stays a
member without shards until undrain, or until its process ends.

WORKER is an id as in 'pushusers workers', or the beginning of one. drain waits until
no shard is left and says on standard error how many are. Whoever ends the command
before, for example with ^C, ends the waiting and not the drain. Where no other worker
can take the shards, they stay and run on until one can.`

func (a *app) drainCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:               "drain WORKER",
		Short:             "Have the shards of a worker moved to the others, and wait for it",
		Long:              aboutDrain,
		Example:           "  pushusers drain 4fzk\n  pushusers drain 4fzk --no-wait",
		Args:              oneWorker,
		ValidArgsFunction: a.completeFirst(workerIDs(false)),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.drain(cmd.Context(), args[0], !noWait) },
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until no shard is left")
	return cmd
}

func (a *app) undrainCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "undrain WORKER",
		Short:             "Let a worker take shards again",
		Long:              "undrain lets a worker take shards again. WORKER is an id as in 'pushusers workers',\nor the beginning of one.",
		Example:           "  pushusers undrain 4fzk",
		Args:              oneWorker,
		ValidArgsFunction: a.completeFirst(workerIDs(true)),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.undrain(cmd.Context(), args[0]) },
	}
}

func oneWorker(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usagef("%s needs one WORKER, an id as in 'pushusers workers' or the beginning of one", cmd.Name())
	}
	return nil
}

func (a *app) drain(ctx context.Context, prefix string, wait bool) error {
	c, id, err := a.worker(ctx, prefix)
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.DrainWorker, &adminv1.DrainWorkerRequest{Id: id})
	if err != nil {
		return err
	}
	outcome := "Worker %s drains."
	if wait {
		if outcome, err = a.awaitDrain(ctx, c, id); err != nil {
			return err
		}
	}
	return a.done(answer, outcome, id)
}

func (a *app) undrain(ctx context.Context, prefix string) error {
	c, id, err := a.worker(ctx, prefix)
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.UndrainWorker, &adminv1.UndrainWorkerRequest{Id: id})
	if err != nil {
		return err
	}
	return a.done(answer, "Worker %s takes shards again.", id)
}

// worker finds the live worker that is meant.
func (a *app) worker(ctx context.Context, prefix string) (*client, string, error) {
	c, err := a.client()
	if err != nil {
		return nil, "", err
	}
	answer, err := call(ctx, c, c.admin.ListWorkers, &adminv1.ListWorkersRequest{})
	if err != nil {
		return nil, "", err
	}
	id, err := meant(answer.GetWorkers(), prefix)
	return c, id, err
}

// meant is the one id that is, or begins with, what was given.
func meant(workers []*adminv1.Worker, prefix string) (string, error) {
	var ids []string
	for _, w := range workers {
		switch {
		case w.GetId() == prefix:
			return prefix, nil
		case strings.HasPrefix(w.GetId(), prefix):
			ids = append(ids, printable(w.GetId()))
		}
	}
	switch len(ids) {
	case 0:
		return "", failf(exitNotFound, "no live worker has an id that begins with %q", prefix)
	case 1:
		return ids[0], nil
	}
	slices.SortFunc(ids, naturalCompare)
	return "", usagef("%q may be any of %s", prefix, strings.Join(ids, ", "))
}

// awaitDrain waits until the worker has no shard any more and tells of each change. It
// returns how it ended, in words that lack the worker's id.
func (a *app) awaitDrain(ctx context.Context, c *client, id string) (outcome string, err error) {
	told := ""
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		answer, err := call(ctx, c, c.admin.ListWorkers, &adminv1.ListWorkersRequest{})
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(answer.GetWorkers(), func(w *adminv1.Worker) bool { return w.GetId() == id })
		switch {
		case i < 0:
			return "Worker %s has left the cluster.", nil
		case !answer.GetWorkers()[i].GetDraining():
			return "", failf(exitServer, "worker %s was told to take shards again", id)
		case answer.GetWorkers()[i].GetShards() == 0:
			return "Worker %s is drained.", nil
		}
		if news := progress(answer, answer.GetWorkers()[i]); news != told {
			fmt.Fprintln(a.stderr, news)
			told = news
		}
		<-tick.C
	}
}

// progress says how far a drain has come, and what it waits for if that is not in
// sight.
func progress(all *adminv1.ListWorkersResponse, draining *adminv1.Worker) string {
	unit := "shards"
	if draining.GetShards() == 1 {
		unit = "shard"
	}
	left := fmt.Sprintf("%s %s left", count(draining.GetShards()), unit)
	takes := func(w *adminv1.Worker) bool {
		able := func(backend string) bool { return slices.Contains(draining.GetBackends(), backend) }
		return !w.GetDraining() && slices.ContainsFunc(w.GetBackends(), able)
	}
	switch {
	case all.GetLeader() == "":
		return left + "; no scheduler leads, so nothing moves until one does"
	case !slices.ContainsFunc(all.GetWorkers(), takes):
		return left + "; no other worker can take them, so they run on here until one can"
	}
	return left
}
