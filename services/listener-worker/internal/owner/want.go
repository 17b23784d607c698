// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/listen"
)

// newWant takes in what the scheduler wants. An older want than the newest, as a
// watch that was set up again may show, says nothing.
func (t *tenure) newWant(want *clusterv1.Want) {
	if want != nil && (t.want == nil || want.GetGeneration() >= t.want.GetGeneration()) {
		t.want = want
	}
}

// granted is the epoch of each shard this worker may run.
func granted(want *clusterv1.Want) map[place]uint64 {
	out := make(map[place]uint64)
	for _, set := range want.GetGranted() {
		for i, number := range set.GetShards() {
			if i < len(set.GetEpochs()) { // a grant without an epoch is none
				out[place{set.GetBackend(), number}] = set.GetEpochs()[i]
			}
		}
	}
	return out
}

// reconcile moves what is run towards what is wanted. It looks at the state only, so
// that it does not matter what was missed or came twice.
func (t *tenure) reconcile() {
	if t.want == nil {
		return
	}
	target := granted(t.want)
	var leaving []*shard
	for at, s := range t.shards {
		if target[at] == s.claim.Epoch {
			continue
		}
		switch {
		case s.phase == running:
			leaving = append(leaving, s)
		case s.phase == opening && s.loading:
			s.phase = abandoned
		case s.phase == opening:
			delete(t.shards, at)
		}
	}
	t.giveUp(leaving)
	for at, epoch := range target {
		if t.shards[at] == nil && epoch > t.fenced[at] {
			t.shards[at] = &shard{
				claim: deliver.Claim{Backend: at.backend, Shard: at.number, Epoch: epoch},
				boxes: make(map[listen.User]mailbox),
			}
		}
	}
	t.startLoads()
	t.report()
}

// giveUp stops the listeners of shards, then lets delivery end what is in flight.
func (t *tenure) giveUp(leaving []*shard) {
	if len(leaving) == 0 {
		return
	}
	var claims []deliver.Claim
	for _, s := range leaving {
		s.phase = draining
		claims = append(claims, s.claim)
		for user := range s.boxes {
			t.listeners.Remove(user)
		}
	}
	t.work.Go(func() {
		if !t.drain(claims, t.cfg.DrainFor) {
			return
		}
		t.post(func() {
			for _, claim := range claims {
				delete(t.shards, placeOf(claim))
			}
		})
	})
}

// fence takes out shards whose claims the registry has refused: somebody newer owns
// them. Only a higher epoch brings them back.
func (t *tenure) fence(claims []deliver.Claim) {
	for _, claim := range claims {
		at := placeOf(claim)
		t.fenced[at] = max(t.fenced[at], claim.Epoch)
		s := t.shards[at]
		if s == nil || s.claim != claim || s.phase == draining {
			continue // a drain ends by itself
		}
		for user := range s.boxes {
			t.listeners.Remove(user)
		}
		t.delivery.Drop([]deliver.Claim{claim})
		delete(t.shards, at)
	}
}
