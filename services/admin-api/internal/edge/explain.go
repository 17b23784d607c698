// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mailpush.internal/pkg/fault"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Explained says why there is no push for a user.
type Explained struct {
	registry.UserID
	explain.Explanation
}

// ErrTooOld marks the error of a call that a service of an earlier release does not know.
var ErrTooOld = errors.New("not known to this release")

// Explain says why there is no push for a user. A user that nobody has registered is
// explained, too: by its first check. What cannot be asked is a part of the answer.
func (e *Edge) Explain(ctx context.Context, user registry.UserID) (Explained, error) {
	f := e.facts(user)
	f.Registry = e.stored(ctx, user)
	return e.explained(ctx, f)
}

// ExplainSubscription says why there is no push for one subscription. NotFound when there
// is none.
func (e *Edge) ExplainSubscription(ctx context.Context, id string) (Explained, error) {
	reading, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	sub, err := e.Store.Subscription(reading, id)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		return Explained{}, err
	case err != nil:
		e.Log.WarnContext(ctx, "the registry could not be read", "error", err)
		f := e.facts(registry.UserID{})
		f.Registry.Down = true
		return e.explained(ctx, f)
	}
	f := e.facts(sub.UserID)
	f.Registry = e.stored(ctx, sub.UserID)
	f.Registry.Subscriptions = []registry.Subscription{sub}
	return e.explained(ctx, f)
}

func (e *Edge) facts(user registry.UserID) explain.Facts {
	return explain.Facts{
		Now: time.Now(), Policy: e.Policy,
		Registry: explain.Registry{User: registry.User{UserID: user}},
	}
}

// stored is what the registry has of a user.
func (e *Edge) stored(ctx context.Context, user registry.UserID) explain.Registry {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	u, err := e.Store.User(ctx, user)
	var subs []registry.Subscription
	if err == nil {
		subs, err = e.Store.Subscriptions(ctx, user)
	}
	u.UserID = user
	if err != nil && fault.KindOf(err) != fault.NotFound {
		e.Log.WarnContext(ctx, "the registry could not be read", "error", err)
		return explain.Registry{Down: true, User: u}
	}
	return explain.Registry{User: u, Subscriptions: subs}
}

// explained asks whoever else can say something, as far as it matters.
func (e *Edge) explained(ctx context.Context, f explain.Facts) (Explained, error) {
	user := f.Registry.User
	if !f.Registry.Down {
		f.Shard = registry.Shard{Backend: e.Policy.Stores[user.Store], Number: registry.ShardOf(user.UserID, e.Shards)}
		e.ask(ctx, &f)
	}
	if err := ctx.Err(); err != nil {
		return Explained{}, err
	}
	return Explained{user.UserID, explain.Explain(f)}, nil
}

// ask asks the vault and, where there is to be a listener, scheduler and workers.
func (e *Edge) ask(ctx context.Context, f *explain.Facts) {
	var group errgroup.Group // without a context: one that does not answer is no reason not to ask another
	group.Go(func() error {
		f.Vault = e.askVault(ctx, f.Registry.User)
		return nil
	})
	if decide.Listener(f.Policy, f.Registry.User, decide.NotAsked).OK() {
		group.Go(func() error {
			var candidates []Worker
			f.Cluster, candidates = e.askCluster(ctx, f.Shard)
			f.Owner = e.askOwner(ctx, f.Registry.User.UserID, candidates)
			return nil
		})
	}
	_ = group.Wait() // they return no error: who is silent is a part of the answer
}

// askVault asks whether the login is there that the registry names.
func (e *Edge) askVault(ctx context.Context, u registry.User) (said explain.Vault) {
	if u.Credential.State == registry.CredentialNone || u.Credential.State == "" || u.Credential.Kind == registry.KindDoveadm {
		return said
	}
	said.Asked = true
	has, err := e.Vault.Has(ctx, u.UserID, registry.MailAccount(u.Credential.Slot))
	if err != nil {
		e.Log.WarnContext(ctx, "the vault could not be asked for a login", "error", err)
	}
	said.Has, said.Down = has, err != nil
	return said
}

// askCluster asks the scheduler where a shard is, and returns who may run it: its holder, or
// where nobody can say, everybody who could when somebody could last.
func (e *Edge) askCluster(ctx context.Context, of registry.Shard) (said explain.Cluster, candidates []Worker) {
	etcd := make(chan error, 1)
	go func() {
		_, err := e.Cluster.Leader(ctx)
		etcd <- err
	}()
	members, err := e.Scheduler.Members(ctx)
	reached := <-etcd
	if err != nil {
		e.Log.WarnContext(ctx, "the scheduler could not be asked for workers", "error", err, "etcd", reached)
		return explain.Cluster{Down: true, EtcdDown: reached != nil}, capable(e.members.last(), of.Backend)
	}
	said.Workers = capability(members, of.Backend)
	said.Placement, err = e.Scheduler.Placement(ctx, of)
	switch {
	case errors.Is(err, ErrTooOld):
		said.NoPlacement, said.Leader = true, members.Leader
		if holder := holderOf(of, members.Workers); holder != nil {
			said.Holder = holder.ID
		}
	case err != nil:
		e.Log.WarnContext(ctx, "the scheduler could not be asked for a shard", "error", err)
		return explain.Cluster{Down: true, EtcdDown: reached != nil}, capable(members, of.Backend)
	}
	return said, slices.DeleteFunc(slices.Clone(members.Workers), func(w Worker) bool { return w.ID != said.Holder })
}

// askOwner asks those of whom one may run the user's listener, and takes the word of the one
// that does.
func (e *Edge) askOwner(ctx context.Context, user registry.UserID, candidates []Worker) (said explain.Owner) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answers := make(chan explain.Owner, len(candidates))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for _, w := range candidates {
		group.Go(func() error {
			answer := explain.Owner{ID: w.ID}
			var err error
			if answer.Said, err = e.Workers.Explain(ctx, w.Address, user); err != nil {
				answer.TooOld = errors.Is(err, ErrTooOld)
				e.Log.WarnContext(ctx, "worker did not answer", "worker", w.ID, "error", err)
			}
			answers <- answer
			return nil
		})
	}
	_ = group.Wait() // the questions return no error
	close(answers)
	for answer := range answers {
		if said.ID == "" || answer.Said.GetListener() != nil {
			said = answer
		}
	}
	return said
}

// capability is whether workers are capable of a backend.
func capability(members Members, backend string) decide.Capability {
	switch {
	case len(members.Workers) == 0:
		return decide.NoWorkers
	case len(capable(members, backend)) == 0:
		return decide.Incapable
	default:
		return decide.Capable
	}
}

func capable(members Members, backend string) []Worker {
	return slices.DeleteFunc(slices.Clone(members.Workers), func(w Worker) bool { return !slices.Contains(w.Backends, backend) })
}

// Explainer asks one worker, by its address, all it knows of a user.
type Explainer interface {
	// Explain is ErrTooOld from a worker that does not know the question.
	Explain(ctx context.Context, address string, user registry.UserID) (*workerv1.ExplainUserResponse, error)
}
