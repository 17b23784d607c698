// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/dovecot/internal/doveadm"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/ondemand"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Source opens mailboxes of Dovecots. It is safe for concurrent use.
type Source struct {
	cfg     Config
	metrics *counters
	life    context.Context //nolint:containedctx // the life of the source, for what it takes back
	end     context.CancelFunc
	tasks   sync.WaitGroup
	byIMAP  *ondemand.Pool

	mu      sync.Mutex
	clients map[clientKey]*doveadm.Client // few: one for each setting there was
	stores  map[string]*mailv1.MailStore  // by name, as they were last
	strays  map[mailbox.User]bool         // that are being looked after
	kept    map[mailbox.User]*kept
	leaving map[mailbox.User]chan struct{} // closed when a registration is taken back
	closed  bool
}

var (
	_ listen.Source = (*Source)(nil)
	_ listen.Keeper = (*Source)(nil)

	_ listen.Resumer = (*Source)(nil)
)

type clientKey struct {
	store, url, ca string
	concurrency    uint32
	timeout        time.Duration
}

// New makes a source. Whoever made it closes it.
func New(cfg Config) *Source {
	life, end := context.WithCancel(context.Background())
	return &Source{
		cfg: cfg.withDefaults(), metrics: newCounters(cfg.Metrics), life: life, end: end, byIMAP: ondemand.New(cfg.IMAP, 0),
		clients: make(map[clientKey]*doveadm.Client), kept: make(map[mailbox.User]*kept), leaving: make(map[mailbox.User]chan struct{}),
		stores: make(map[string]*mailv1.MailStore), strays: make(map[mailbox.User]bool),
	}
}

// Close ends everything. Nothing is opened afterwards.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()
	s.end()
	s.byIMAP.Close()
	for _, client := range clients {
		client.Close()
	}
	s.tasks.Wait()
}

// client is the way to a mail store's doveadm; nil where there is none.
func (s *Source) client(store *mailv1.MailStore) (*doveadm.Client, *mailbox.Failure) {
	d := store.GetDoveadm()
	if d == nil {
		return nil, nil //nolint:nilnil // no doveadm is an answer
	}
	name := store.GetName()
	if _, have := s.cfg.Key(name); !have {
		return nil, unavailable("this worker's configuration has no doveadm key for mail store %q", store.GetName()).OfStore()
	}
	key := clientKey{store.GetName(), d.GetUrl(), string(d.GetCaPem()), d.GetConcurrency(), d.GetTimeout().AsDuration()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, unavailable("this worker stops")
	}
	s.stores[store.GetName()] = store
	if client := s.clients[key]; client != nil {
		return client, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem := d.GetCaPem(); len(pem) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, (&mailbox.Failure{Class: mailbox.ClassTLS, Reason: "doveadm's CA holds no certificate"}).OfStore()
		}
	}
	client := doveadm.New(doveadm.Config{
		URL: d.GetUrl(), TLS: config,
		Key: func() secret.String {
			apiKey, _ := s.cfg.Key(name) // without one it is refused
			return apiKey
		},
		Concurrency: int(d.GetConcurrency()), Timeout: d.GetTimeout().AsDuration(),
		Posted: func(result string) { s.metrics.posts.WithLabelValues(result).Inc() },
	})
	s.clients[key] = client
	return client, nil
}

// Open implements [listen.Source].
func (s *Source) Open(ctx context.Context, of mailbox.Listening, login listen.LoginFunc, _ listen.Notify) (listen.Reader, listen.Opening, error) {
	if err := s.begin(ctx, of.User); err != nil {
		return nil, listen.Opening{}, err
	}
	client, failure := s.client(of.Store)
	if failure == nil && client == nil {
		return s.openIMAP(ctx, of, login)
	}
	if failure == nil {
		var reader listen.Reader
		var opening listen.Opening
		if reader, opening, failure = s.openDoveadm(ctx, client, of, login); failure == nil {
			return reader, opening, nil
		}
	}
	if of.Login != "" || of.Store.GetAddress() == "" || ctx.Err() != nil || failure.Class == mailbox.ClassNoCredential {
		return nil, listen.Opening{}, failure // there is no second way
	}
	reader, opening, err := s.openIMAP(ctx, of, login)
	if err != nil {
		// A login that is refused is no reason to suspend a listener that lives without.
		also := mailbox.AsFailure(err)
		failure.Reason += "; nor does IMAP work: " + also.Reason
		if also.Whose() != mailbox.BlameStore {
			failure.Blame = mailbox.BlameEither // it may be about this mailbox that there is no second way
		}
		return nil, listen.Opening{}, failure
	}
	s.metrics.fallbacks.Inc()
	opening.Note = failure.Reason + "; read over IMAP"
	opening.Again = pollInterval(of.Store)
	return reader, opening, nil
}

// openDoveadm looks at a mailbox by doveadm.
func (s *Source) openDoveadm(
	ctx context.Context, client *doveadm.Client, of mailbox.Listening, login listen.LoginFunc,
) (listen.Reader, listen.Opening, *mailbox.Failure) {
	name, version, failure := s.nameOf(ctx, of, login)
	if failure != nil {
		return nil, listen.Opening{}, failure
	}
	r := newReader(s, client, of, name)
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	seen, failure := r.look()
	if failure != nil {
		r.Close()
		return nil, listen.Opening{Version: version}, failure
	}
	opening := s.registration(of).opening(of.Store)
	opening.End, opening.Version = seen.end, version
	return r, opening, nil
}

// Baseline implements [listen.Source]. A login with a password is one that has yet to be
// proven, which takes IMAP; one without is what an operator's rule calls the user.
func (s *Source) Baseline(ctx context.Context, store *mailv1.MailStore, login mailbox.Login) (mailbox.End, error) {
	if !login.Password.IsZero() {
		return s.cfg.IMAP.Baseline(ctx, store, login)
	}
	client, failure := s.client(store)
	if failure == nil && client == nil {
		failure = unavailable("mail store %q has no doveadm, and no login was given", store.GetName())
	}
	if failure != nil {
		return mailbox.End{}, fault.Wrap(fault.Unavailable, failure, "%s", failure.Reason)
	}
	answers, err := client.Ask(ctx, cmp.Or(login.AuthorizationID, login.Username), doveadm.Status())
	if err == nil && answers[0].Err != nil {
		err = answers[0].Err
	}
	if err != nil {
		kind := fault.Unavailable
		if doveadm.IsKind(err, doveadm.NoUser) {
			kind = fault.Unauthenticated
		}
		return mailbox.End{}, fault.Wrap(kind, err, "%s", err)
	}
	seen, failure := readStatus(answers[0])
	if failure != nil {
		return mailbox.End{}, fault.Wrap(fault.Unavailable, failure, "%s", failure.Reason)
	}
	return seen.end, nil
}

// pollInterval is how often a mailbox is asked for of which nobody tells.
func pollInterval(store *mailv1.MailStore) time.Duration {
	if d := store.GetPollInterval().AsDuration(); d > 0 {
		return d
	}
	return time.Minute
}
