// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqltest"
	"mailpush.internal/trials/internal/faults"
	"mailpush.internal/trials/internal/rig"
)

// The mail stores. Each is broken in its own way; at the rig's own all is well.
const (
	storeDown      = "down"
	storeTLS       = "tls"
	storeThrottles = "throttles"
	storePassword  = "password"
	storeMaster    = "master"
	storeGone      = "gone"
	storeRewound   = "rewound"
	storeUnknown   = "unknown"
	storeVault     = "vault"

	masterUser = "chief"
)

// world is a mailpush with a process for each service, its registry in PostgreSQL, and all
// that may be broken around it.
type world struct {
	Options

	began    time.Time
	findings []Finding
	closers  []closer
	started  int // workers, ever

	postgres *sqltest.Server
	registry secret.String // its database
	toSQL    *faults.Proxy // admin-api's way to it
	toEtcd   *faults.Proxy // everybody's way to etcd
	mailpush *rig.Mailpush
	worker   *proctest.Process
	receiver *receiver

	wellStore, down, tls *imaptest.Many
	throttling           atomic.Bool
	throttles            *imaptest.ScriptServer
	password, master     *imaptest.Server
	relogin              *imaptest.Server // where a listener logs in again
	goneMail, rewound    *imaptest.ScriptServer
}

func (w *world) start(ctx context.Context) error {
	dsn, err := w.startRegistry(ctx)
	if err != nil {
		return err
	}
	etcd, err := w.startEtcd(ctx)
	if err != nil {
		return err
	}
	home, others, err := w.startStores()
	if err != nil {
		return err
	}
	if w.receiver, err = newReceiver(); err != nil {
		return err
	}
	w.later(func() error { w.receiver.Close(); return nil })
	password, err := w.writeFile("master-password", []byte(rig.Password))
	if err != nil {
		return err
	}
	w.mailpush, err = rig.New(ctx, rig.Options{
		Dir: filepath.Join(w.Dir, "data"), Programs: w.Programs, Store: home, Others: others, Etcd: []string{etcd},
		Services: []string{identity.Vault, identity.Admin, identity.Scheduler},
		Set: []string{
			"admin.database=" + dsn, "push.credstorage.rdb=false", "mail.passwordSource=global",
			"mail.masterUser=" + masterUser, "mail.masterPasswordFile=" + password,
		},
	})
	if err != nil {
		return err
	}
	w.later(w.mailpush.Close)
	w.later(func() error { // before the others end, which its processes lean on
		w.toSQL.Heal()
		w.toEtcd.Heal()
		return nil
	})
	return w.startWorker()
}

// later has something be ended when the trial is over.
func (w *world) later(end closer) { w.closers = append(w.closers, end) }

// startRegistry starts a database server and a way to it that can fall silent.
func (w *world) startRegistry(ctx context.Context) (dsn string, err error) {
	if w.postgres, err = sqltest.NewPostgres(""); err != nil { // its user must be able to pass through
		return "", err
	}
	w.later(w.postgres.Stop)
	if w.registry, _, err = w.postgres.NewDatabase(ctx); err != nil {
		return "", err
	}
	return w.detour(w.registry)
}

// detour makes an address that leads through a proxy.
func (w *world) detour(direct secret.String) (string, error) {
	address, err := url.Parse(direct.Reveal())
	if err != nil {
		return "", err
	}
	if w.toSQL, err = faults.NewProxy(address.Host); err != nil {
		return "", err
	}
	w.later(w.toSQL.Close)
	address.Host = w.toSQL.Addr()
	return address.String(), nil
}

func (w *world) startEtcd(ctx context.Context) (endpoint string, err error) {
	server, err := embedded.Start(ctx, embedded.Config{Dir: filepath.Join(w.Dir, "etcd"), ClientListen: "http://127.0.0.1:0"})
	if err != nil {
		return "", err
	}
	w.later(func() error { server.Close(); return nil })
	if w.toEtcd, err = faults.NewProxy(strings.TrimPrefix(server.Endpoints()[0], "http://")); err != nil {
		return "", err
	}
	w.later(w.toEtcd.Close)
	return "http://" + w.toEtcd.Addr(), nil
}

// startWorker starts a worker that replaces the one before in what the trial knows.
func (w *world) startWorker(set ...string) error {
	w.started++
	name := fmt.Sprintf("worker-%d", w.started)
	worker, err := w.mailpush.StartWorker(name, set...)
	if err != nil {
		return err
	}
	w.worker = worker
	w.later(worker.Stop)
	return nil
}

// startStores starts the mail stores, all of them well. The one where nothing is broken is
// home.
func (w *world) startStores() (home rig.Store, others map[string]rig.Store, err error) {
	others = make(map[string]rig.Store)
	for name, at := range map[string]**imaptest.Many{"": &w.wellStore, storeDown: &w.down, storeTLS: &w.tls, storeUnknown: new(*imaptest.Many)} {
		store, err := w.startMany(name, at)
		if err != nil {
			return home, nil, err
		}
		if others[name] = store; name == "" {
			home = store
		}
	}
	delete(others, "")
	for name, at := range map[string]**imaptest.Server{storePassword: &w.password, storeMaster: &w.master, storeVault: &w.relogin} {
		if *at, err = imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain}); err != nil {
			return home, nil, err
		}
		w.later((*at).Close)
		others[name] = rig.Store{Address: (*at).Addr()}
	}
	limit := map[string]func(p *imaptest.Peer, tag, args string){"AUTHENTICATE": w.limit}
	for name, at := range map[string]**imaptest.ScriptServer{storeThrottles: &w.throttles, storeGone: &w.goneMail, storeRewound: &w.rewound} {
		script := imaptest.Script{Views: true}
		if name == storeThrottles {
			script.On = limit
		}
		if *at, err = imaptest.NewScript(script); err != nil {
			return home, nil, err
		}
		w.later((*at).Close)
		others[name] = rig.Store{Address: (*at).Addr()}
	}
	return home, others, nil
}

// startMany starts a mail store that takes every login, under TLS.
func (w *world) startMany(name string, at **imaptest.Many) (rig.Store, error) {
	var err error
	if *at, err = imaptest.NewMany(imaptest.ManyOptions{}); err != nil {
		return rig.Store{}, err
	}
	w.later(func() error {
		if err := (*at).Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // it was broken like that
	})
	ca, err := w.writeFile("ca-"+name+".crt", (*at).CA())
	return rig.Store{Address: (*at).Addr(), CAFile: ca}, err
}

// limit answers a login as a mail store does that has too many connections.
func (w *world) limit(p *imaptest.Peer, tag, args string) {
	if w.throttling.Load() {
		p.Send(tag + " NO [LIMIT] too many connections from your address\r\n")
		return
	}
	p.Answer(tag, "AUTHENTICATE", args)
}
