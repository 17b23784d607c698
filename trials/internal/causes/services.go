// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/identity"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/trials/internal/faults"
	"mailpush.internal/trials/internal/rig"
)

// crowd are users of whom one worker of capacity 1 can carry one at most.
func crowd() []string { return []string{"crowd-0", "crowd-1", "crowd-2"} }

// workers takes workers away, and brings others.
func (w *world) workers(ctx context.Context) error {
	if err := w.relogin.AddUser("vault", rig.Password); err != nil {
		return err
	}
	for _, user := range append(crowd(), "between", "vault", "etcd") {
		s := subscription{user: user, store: rig.StoreName, url: w.receiver.URL()}
		if user == "vault" {
			s.store = storeVault
		}
		if _, err := w.subscribe(ctx, s); err != nil {
			return err
		}
	}
	if err := w.well(ctx, append(crowd(), "between", "vault", "etcd")...); err != nil {
		return err
	}
	first := w.worker
	if err := w.between(ctx); err != nil {
		return err
	}
	if err := errors.Join(first.Stop(), w.worker.Stop()); err != nil {
		return err
	}
	user := crowd()[0]
	if err := w.expect(ctx, "no worker", user, "no-worker", "no worker is live"); err != nil {
		return err
	}
	if err := w.startWorker("worker.backends=[mailnotify]"); err != nil {
		return err
	}
	if err := w.expect(ctx, "no capable worker", user, "no-capable-worker", "no live worker is capable of imapidle"); err != nil {
		return err
	}
	if err := w.worker.Stop(); err != nil {
		return err
	}
	if err := w.startWorker("worker.capacity=1"); err != nil {
		return err
	}
	if err := w.expectAny(ctx, "workers full", crowd(), "workers-full", "no worker that is capable of imapidle has room"); err != nil {
		return err
	}
	if err := w.worker.Stop(); err != nil {
		return err
	}
	if err := w.startWorker(); err != nil {
		return err
	}
	return w.well(ctx, append(crowd(), "vault", "etcd")...)
}

// between drains the one worker while a request of a user is out that is not answered: the
// shard passes on only when that is over.
func (w *world) between(ctx context.Context) error {
	const user = "between"
	id, err := w.holder(ctx)
	if err != nil {
		return err
	}
	if err := w.startWorker(); err != nil {
		return err
	}
	if err := await(ctx, "a second worker", func(ctx context.Context) error {
		listed, err := w.mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
		if err == nil && len(listed.Msg.GetWorkers()) != 2 {
			err = fmt.Errorf("%d are live", len(listed.Msg.GetWorkers()))
		}
		return err
	}); err != nil {
		return err
	}
	w.receiver.set(user, hang)
	w.wellStore.DeliverTo(user)
	if _, err := w.mailpush.Admin.DrainWorker(ctx, connect.NewRequest(&adminv1.DrainWorkerRequest{Id: id})); err != nil {
		return err
	}
	err = w.expect(ctx, "shard between owners", user, "between-owners", "passes from one worker to another")
	w.receiver.release()
	return err
}

// holder is the id of the one worker there is.
func (w *world) holder(ctx context.Context) (string, error) {
	listed, err := w.mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
	if err != nil {
		return "", err
	}
	if n := len(listed.Msg.GetWorkers()); n != 1 {
		return "", fmt.Errorf("%d workers are live, want 1", n)
	}
	return listed.Msg.GetWorkers()[0].GetId(), nil
}

// vaults takes the vault away from a listener that needs its login, and brings back one that
// has kept nothing.
func (w *world) vaults(ctx context.Context) error {
	if err := w.mailpush.Process(identity.Vault).Stop(); err != nil {
		return err
	}
	w.relogin.Drop()
	if err := w.expect(ctx, "vault down", "vault", "vault-down", "credential cannot be asked for"); err != nil {
		return err
	}
	if err := w.mailpush.Restart(ctx, identity.Vault); err != nil {
		return err
	}
	return w.expect(ctx, "no credential", "vault", "no-credential", "no permanent listener: the vault has no login")
}

// etcdAway lets nothing through to etcd and from it.
func (w *world) etcdAway(ctx context.Context) error {
	// The vault has kept nothing, and a worker that loses its lease logs in anew.
	if _, err := w.subscribe(ctx, subscription{user: "etcd", store: rig.StoreName, url: w.receiver.URL()}); err != nil {
		return err
	}
	if err := w.well(ctx, "etcd"); err != nil {
		return err
	}
	w.toEtcd.Silence(faults.ToServer)
	w.toEtcd.Silence(faults.ToClient)
	err := w.expect(ctx, "etcd away (in doubt)", "etcd", "etcd-away", "etcd does not answer")
	w.toEtcd.Heal()
	return err
}

// registryDown lets nothing through to the registry's database and from it.
func (w *world) registryDown(ctx context.Context) error {
	w.toSQL.Silence(faults.ToServer)
	w.toSQL.Silence(faults.ToClient)
	err := w.expect(ctx, "registry down", "etcd", "registry-down", "the registry's database does not answer")
	w.toSQL.Heal()
	return err
}
