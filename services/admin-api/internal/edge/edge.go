// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package edge is what admin-api does when it is called: subscribe, remove, rotate,
// replay, disable, list, explain, drain, show a shard to its worker, and judge what the
// worker says of endpoints. It joins the registry, the vault, the
// scheduler and the workers, and knows of each only the few verbs below.
//
// It keeps these invariants. A subscription is answered only after its login, its
// cursor baseline and its registration are stored, and when one of these cannot be
// stored nothing new is left behind. A secret that a row names is neither overwritten
// nor erased: each is sealed where nothing has been, and a row's transaction decides
// which is in force; a login comes into the place of another only when the mail store has
// accepted it. And a listener is shown as running only when a worker has just
// said so.
package edge

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Users reads and writes who is subscribed.
type Users interface {
	User(ctx context.Context, id registry.UserID) (registry.User, error)
	Subscriptions(ctx context.Context, user registry.UserID) ([]registry.Subscription, error)
	Subscription(ctx context.Context, id string) (registry.Subscription, error)
	// Registered returns those of the users that there are, with all their subscriptions.
	Registered(ctx context.Context, users []registry.UserID) (map[registry.UserID]registry.Mailbox, error)
	// Subscribe stores enrolments, no two of one user, all in one transaction. The errors are
	// of one each, in their order; err is of all.
	Subscribe(ctx context.Context, list []registry.Enrolment) (errs []error, err error)
}

// Switches disables users and enables them again.
type Switches interface {
	DisableUser(ctx context.Context, user registry.UserID, reason string, now time.Time) (already bool, err error)
	EnableUser(ctx context.Context, user registry.UserID) (already bool, err error)
}

// Removals takes subscriptions away, and history that is too old.
type Removals interface {
	Unsubscribe(ctx context.Context, id string) (registry.Removed, error)
	Unregister(ctx context.Context, user registry.UserID, client string) (registry.Removed, error)
	Expired(ctx context.Context, now time.Time, limit int) (ids []string, err error)
	Expire(ctx context.Context, id string, now time.Time) (registry.Removed, error)
	ForgetHistory(ctx context.Context, now time.Time, limit int) error
}

// Erasures remembers which accounts must leave the vault: those that nothing names any
// more, and those that are reserved, unless a row comes to name them.
type Erasures interface {
	Reserve(ctx context.Context, accounts []registry.Erasure, until time.Time) error
	Condemn(ctx context.Context, accounts []registry.Erasure) (free []registry.Erasure, err error)
	Erasures(ctx context.Context, now time.Time, limit int) ([]registry.Erasure, error)
	Erased(ctx context.Context, e registry.Erasure) error
}

// Listings reads the registry page by page.
type Listings interface {
	ListUsers(ctx context.Context, contextID, after string, limit int) ([]registry.User, error)
	ListRegistrations(ctx context.Context, contextID, afterKey, afterClient string, limit int) ([]registry.Registration, error)
	ListSubscriptions(ctx context.Context, of registry.UserID, afterKey, afterID string, limit int) ([]registry.Owned, error)
	ListDeadLetters(ctx context.Context, subscription string, before registry.Place, limit int) ([]registry.DeadLetter, registry.Place, error)
	ListHistory(ctx context.Context, user registry.UserID, since time.Time, before registry.Place, limit int) ([]registry.HistoryEntry, registry.Place, error)
	OpenedShards(ctx context.Context, backend string) ([]uint32, error)
}

// Changes are what becomes of users and subscriptions after they have been made.
type Changes interface {
	Switches

	Rotate(ctx context.Context, sub registry.Subscription, to registry.Signing, now time.Time) error
	Enable(ctx context.Context, id string) error
	Restore(ctx context.Context, id string) error
	Disable(ctx context.Context, id, reason string, now time.Time) error
	Replay(ctx context.Context, id, folder string, from uint32) (registry.Cursor, error)
}

// Endpoints takes in what workers say of endpoints.
type Endpoints interface {
	Report(ctx context.Context, shards uint32, reports []registry.Report, now time.Time) ([]registry.Verdict, error)
	Depart(ctx context.Context, shards uint32, r registry.Report, now time.Time) (registry.Departure, error)
	ForgetDepartures(ctx context.Context, now time.Time) error
}

// Store is the registry. What it changes it also remembers and logs, as the context's actor's.
type Store interface {
	Users
	Removals
	Erasures
	Listings
	Changes
	Endpoints
}

// Vault keeps the secrets. A password is sealed, never kept or returned.
type Vault interface {
	// Seal fills seats, all of them or none, and returns the versions in their order.
	Seal(ctx context.Context, list []Sealing) (versions []uint64, err error)
	// Has tells whether there is something in an account.
	Has(ctx context.Context, user registry.UserID, account string) (bool, error)
	Delete(ctx context.Context, user registry.UserID, account string) error
}

// Cluster is etcd.
type Cluster interface {
	// Touch tells the owner of a shard which of its registry rows have changed.
	Touch(ctx context.Context, at registry.Shard, change shard.Change) error
	// Leader is the scheduler that leads, empty when none does. An error tells that etcd
	// does not answer.
	Leader(ctx context.Context) (string, error)
}

// Scheduler knows the live workers.
type Scheduler interface {
	Members(ctx context.Context) (Members, error)
	// Placement is where a shard is; ErrTooOld when the scheduler does not know the question.
	Placement(ctx context.Context, of registry.Shard) (explain.Placement, error)
}

// Members is the cluster at one moment.
type Members struct {
	Workers []Worker
	Leader  string // the leading scheduler; empty when none leads
}

// Worker is one live worker.
type Worker struct {
	ID, Address, Version string
	Backends             []string
	Capacity, Listeners  uint32
	Draining             bool
	Unread               bool // not all that is stored of it; perhaps not even its address
	StartedAt            time.Time
	Held                 []registry.Claim // the shards it reports to run
}

// Workers asks one worker, by its address.
type Workers interface {
	// Baselines opens users' mailboxes of one mail store and says where each ends. An
	// answer's error is Unauthenticated when the mail store refuses the login,
	// NotFound when the vault has none, Unavailable when the mail store cannot be
	// reached; err is of all of them, ErrNoAnswer when the worker cannot be reached.
	Baselines(ctx context.Context, address string, users []registry.User, store *mailv1.MailStore) (answers []Baseline, err error)
	// Listeners reports the worker's listeners of the given users.
	Listeners(ctx context.Context, address string, users []registry.UserID) ([]Listener, error)
	// SetDraining has the worker give its shards up, or take shards again. NotFound
	// when the worker at the address is not the one with the id.
	SetDraining(ctx context.Context, address, id string, draining bool) error
	// Retry has listeners of the worker try again that are in back-off: those of a mail
	// store or of a user, or all where neither is named.
	Retry(ctx context.Context, address, store string, user registry.UserID) (Retried, error)
	Deliverers
	Explainer
}

// Deliverers asks one worker, by its address, about pushes.
type Deliverers interface {
	// Deliveries reports how far the worker has served the given users.
	Deliveries(ctx context.Context, address string, users []registry.UserID) ([]Delivery, error)
	// SendTest has the worker push to an endpoint, and tells what that answered.
	SendTest(ctx context.Context, address string, sub registry.Subscription) (TestResult, error)
	// SendEndings has the worker tell the endpoints of a user's subscriptions that they
	// end. It returns before they are told.
	SendEndings(ctx context.Context, address string, user registry.UserID, subs []registry.Subscription, reason string) error
}

// ErrNoAnswer marks the error of a call that never reached its service.
var ErrNoAnswer = errors.New("no answer")

// Config is what the edge works with.
type Config struct {
	Policy            decide.Policy
	Stores            map[string]*mailv1.MailStore
	MasterLogins      map[string]string // by mail store: users' logins for the master user, see ownLogin
	Shards            uint32            // shards per backend
	AllowHTTPWebhooks bool
	Store             Store
	Vault             Vault
	Cluster           Cluster
	Scheduler         Scheduler
	Workers           Workers
	Log               *slog.Logger
	Count             func(step string) // of subscriptions whose endpoints are gone; nil: nobody counts
}

// Edge does the work of PushService and AdminService. It is safe for concurrent use.
type Edge struct {
	Config
	locks   *locks[registry.UserID]
	devices *locks[device]
	members *rememberingScheduler
	untold  *untold
	tests   *paces

	telling, erasing, expiring, forgetting, trimming *condition.Condition // what is tried again until it works
}

// New makes an Edge.
func New(c Config) *Edge {
	members := &rememberingScheduler{Scheduler: c.Scheduler}
	c.Scheduler = members
	return &Edge{
		Config: c, members: members, locks: newLocks[registry.UserID](), devices: newLocks[device](), untold: new(untold), tests: new(paces),
		telling:    condition.NewShared(c.Log, slog.LevelWarn, "owners not told of changes yet"),
		erasing:    condition.NewShared(c.Log, slog.LevelWarn, "credentials not erased yet"),
		expiring:   condition.New(c.Log, slog.LevelWarn, "subscriptions that have been gone for long not deleted"),
		forgetting: condition.New(c.Log, slog.LevelWarn, "departures not forgotten"),
		trimming:   condition.New(c.Log, slog.LevelWarn, "old history not forgotten"),
	}
}

// Rules are what the operator's configuration says, which may be read again.
type Rules struct {
	Policy            decide.Policy
	Stores            map[string]*mailv1.MailStore
	MasterLogins      map[string]string // by mail store
	AllowHTTPWebhooks bool
}

// Under is the same Edge under other rules. A call ends under those that it began under,
// and keeps out of the way of those that go by others.
func (e *Edge) Under(r Rules) *Edge {
	under := *e
	under.Policy, under.Stores, under.MasterLogins, under.AllowHTTPWebhooks = r.Policy, r.Stores, r.MasterLogins, r.AllowHTTPWebhooks
	return &under
}

// cleanupTime bounds what is done after the caller has gone away.
const cleanupTime = 10 * time.Second

// unhurried is ctx without its end: work that has begun must not be left half done
// because the caller has hung up.
func unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
}
