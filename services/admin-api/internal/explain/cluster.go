// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"strings"
	"time"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
)

// mostUncommitted is how long workers go on while the registry takes no cursors.
const mostUncommitted = 30 * time.Second

// placed walks to the worker that runs the user's shard.
func (w *walk) placed() bool {
	switch c := w.Cluster; {
	case c.EtcdDown:
		return w.withoutEtcd()
	case c.Down:
		w.unknown("worker", SchedulerSilent, "no scheduler answers: which worker runs the user's listener is not known")
		return w.Owner.Said != nil
	default:
		return w.sharded()
	}
}

// withoutEtcd goes on with a worker that was known before, if one answers. That one says
// itself what it makes of it.
func (w *walk) withoutEtcd() bool {
	if w.Owner.Said == nil {
		return w.unknown("worker", EtcdDown, "etcd does not answer, and which worker runs the user's listener is not known")
	}
	return w.note("worker", EtcdDown, "etcd does not answer: what runs goes on, worker %s among it; a worker that ends is not replaced", w.Owner.ID)
}

// sharded says who has the user's shard.
func (w *walk) sharded() bool {
	c, s := w.Cluster, w.Shard
	switch {
	case len(c.Releasing) > 0:
		return w.no("shard", BetweenOwners, "shard %d of %s passes from one worker to another: %s has yet to let go of it",
			s.Number, s.Backend, strings.Join(c.Releasing, ", "))
	case c.Holder != "":
		return w.yes("shard", "worker %s runs shard %d of %s", c.Holder, s.Number, s.Backend)
	case c.NoPlacement:
		return w.no("shard", BetweenOwners, "no live worker runs shard %d of %s", s.Number, s.Backend)
	case c.Granted != "":
		return w.no("shard", BetweenOwners, "shard %d of %s is granted to worker %s, which has yet to take it over", s.Number, s.Backend, c.Granted)
	case c.NoRoom:
		return w.no("shard", WorkersFull, "no worker that is capable of %s has room for shard %d: they are filled to worker.capacity", s.Backend, s.Number)
	case !c.Capable:
		return w.no("shard", WorkersDraining, "every worker that is capable of %s is being drained, and takes no shard", s.Backend)
	case c.Leader == "":
		return w.no("shard", NoLeader, "no scheduler leads: nobody grants shard %d of %s", s.Number, s.Backend)
	default:
		return w.no("shard", BetweenOwners, "shard %d of %s is to be granted: it is nobody's at the moment", s.Number, s.Backend)
	}
}

// owned walks on with what the owner says, and with what is stored of the subscriptions.
func (w *walk) owned() {
	said := w.Owner.Said
	switch {
	case w.Owner.TooOld:
		w.unknown("owner", WorkerTooOld, "worker %s is of a release that cannot say what its listener does", w.Owner.ID)
	case said == nil:
		w.unknown("owner", WorkerSilent, "worker %s does not answer: what its listener does is not known", w.Owner.ID)
	default:
		if w.acts(said) && w.commits(said) && w.listens(said.GetListener()) {
			w.hinted(said.GetListener().GetListener())
			w.unlocked()
		}
	}
	for _, sub := range w.Registry.Subscriptions {
		w.pushes(sub)
	}
}

// acts tells whether the owner may act.
func (w *walk) acts(said *workerv1.ExplainUserResponse) bool {
	switch said.GetRight() {
	case workerv1.RightToAct_RIGHT_TO_ACT_NONE:
		return w.no("owner", BetweenOwners, "worker %s is no member of the cluster any more, and runs nothing", w.Owner.ID)
	case workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT:
		return w.note("owner", EtcdDown, "worker %s is in doubt, for etcd is silent: it keeps what it runs, and asks the registry before each push", w.Owner.ID)
	case workerv1.RightToAct_RIGHT_TO_ACT_CURRENT, workerv1.RightToAct_RIGHT_TO_ACT_UNSPECIFIED:
	}
	return w.yes("owner", "worker %s may act for it", w.Owner.ID)
}

// commits tells whether the registry takes the owner's cursors.
func (w *walk) commits(said *workerv1.ExplainUserResponse) bool {
	since := said.GetUncommittedSince()
	switch {
	case since == nil:
		return true
	case w.Now.Sub(since.AsTime()) < mostUncommitted:
		return w.note("cursors", CursorsNotStored, "worker %s could not store its cursors since %s: it sends nothing new after %s",
			w.Owner.ID, stamp(since.AsTime()), mostUncommitted)
	}
	return w.no("cursors", CursorsNotStored, "worker %s could not store its cursors since %s, and sends nothing new", w.Owner.ID, stamp(since.AsTime()))
}

// unlocked tells of a vault that is away, or has lost the login, while the listener has what
// it needs of it.
func (w *walk) unlocked() {
	switch {
	case w.lost():
		w.note("vault", decide.NoCredential, "the vault does not have the login that the registry names: the listener goes on while it is connected, and cannot log in again")
	case w.Vault.Down:
		w.note("vault", VaultDown, "the vault does not answer: what is open goes on; the next login waits, and so does a push whose signing secret is not open")
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
