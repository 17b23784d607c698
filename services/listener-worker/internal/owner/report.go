// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
)

const reportTimeout = 5 * time.Second

// reporter tells the scheduler what is run, one report at a time.
type reporter struct {
	applied uint64 // the newest generation that is fully applied
	acked   *clusterv1.Have
	busy    bool
}

// report tells what is run when it has changed. A generation counts as applied when
// nothing runs any more of what it revoked and a first attempt has been made at all it
// grants: a registry that is down must not keep shards from moving on.
func (t *tenure) report() {
	r := &t.reports
	if t.settled() {
		r.applied = t.want.GetGeneration()
	}
	have := t.have(t.claims(running, draining))
	if r.busy || r.applied == 0 || proto.Equal(have, r.acked) {
		return
	}
	r.busy = true
	t.work.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, reportTimeout)
		defer cancel()
		err := t.member.Report(ctx, have)
		if err != nil && !t.lost() { // else there is nobody to report to
			t.cfg.Log.WarnContext(ctx, "what is run could not be reported", "error", err)
			pause(t.ctx, backoff(1))
		}
		t.post(func() { t.reported(have, err) })
	})
}

func (t *tenure) reported(have *clusterv1.Have, err error) {
	t.reports.busy = false
	if err == nil {
		t.reports.acked = have
	} // else the reconcile that follows reports again
}

// settled tells whether the newest want is applied.
func (t *tenure) settled() bool {
	for _, s := range t.shards {
		switch {
		case s.phase == draining, s.phase == abandoned:
			return false
		case s.phase == opening && !s.tried:
			return false
		}
	}
	return true
}

// have is the report that the claims are run, in a fixed order.
func (t *tenure) have(claims []deliver.Claim) *clusterv1.Have {
	slices.SortFunc(claims, func(a, b deliver.Claim) int { return cmp.Compare(a.Shard, b.Shard) })
	sets := make(map[string]*mailv1.ShardSet)
	for _, claim := range claims {
		set := sets[claim.Backend]
		if set == nil {
			set = &mailv1.ShardSet{Backend: claim.Backend}
			sets[claim.Backend] = set
		}
		set.Shards = append(set.Shards, claim.Shard)
		set.Epochs = append(set.Epochs, claim.Epoch)
	}
	have := &clusterv1.Have{Generation: t.reports.applied}
	if len(claims) == 0 && t.want != nil {
		have.Generation = max(have.Generation, t.want.GetGeneration())
	}
	for _, backend := range slices.Sorted(maps.Keys(sets)) {
		have.Held = append(have.Held, sets[backend])
	}
	return have
}
