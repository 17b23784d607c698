// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/explain"
	"mailpush.internal/services/admin-api/internal/registry"
)

var now = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func at(before time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-before)) }

// well are the facts of a user for whom nothing stands in the way.
func well() explain.Facts {
	user := registry.UserID{Context: "1", User: "249"}
	return explain.Facts{
		Now: now,
		Policy: decide.Policy{
			AllowPermanentPush: true, CredStorage: true, PermanentBackends: map[string]bool{"imapidle": true},
			Stores: map[string]string{"demo": "imapidle", "typo": "imapidel"},
		},
		Shard: registry.Shard{Backend: "imapidle", Number: 17},
		Registry: explain.Registry{
			User: registry.User{
				UserID: user, Enabled: true, Store: "demo", Clients: []string{"mobile"},
				Credential: registry.Credential{State: registry.CredentialStored, Kind: registry.KindPassword, Version: 1},
			},
			Subscriptions: []registry.Subscription{{ID: "sub_a", UserID: user, Client: "mobile", Endpoint: registry.Endpoint{Origin: "https://h:443"}}},
		},
		Cluster: explain.Cluster{
			Workers:   decide.Capable,
			Placement: explain.Placement{Holder: "w1", Granted: "w1", Capable: true, Leader: "s1"},
		},
		Vault: explain.Vault{Asked: true, Has: true},
		Owner: explain.Owner{ID: "w1", Said: &workerv1.ExplainUserResponse{
			Worker: "w1", Right: workerv1.RightToAct_RIGHT_TO_ACT_CURRENT,
			Listener: &workerv1.ExplainedListener{
				Listener:  &workerv1.Listener{State: mailv1.ListenerState_LISTENER_STATE_IDLE, Since: at(time.Hour)},
				MailStore: "demo", StoreListeners: 2, StoreServed: 2,
			},
			Deliveries: []*workerv1.ExplainedDelivery{{
				Delivery: &workerv1.Delivery{
					SubscriptionId: "sub_a", State: workerv1.DeliveryState_DELIVERY_STATE_IDLE, Cursor: &mailv1.Cursor{Folder: "INBOX", UidValidity: 7, Uid: 57},
				},
				FolderEnd: 57, LastPush: at(time.Minute),
			}},
		}},
	}
}

// fails has the listener be in a state because of a failure.
func fails(state mailv1.ListenerState, failure workerv1.MailFailure, blame workerv1.Blame, served uint32, words string) func(*explain.Facts) {
	return func(f *explain.Facts) {
		l := f.Owner.Said.GetListener()
		l.Listener.State, l.Listener.LastError = state, words
		l.Failure, l.Blame, l.StoreServed, l.NextTry = failure, blame, served, at(-time.Minute)
	}
}

// backsOff is fails for a back-off.
func backsOff(failure workerv1.MailFailure, blame workerv1.Blame, served uint32, words string) func(*explain.Facts) {
	return fails(mailv1.ListenerState_LISTENER_STATE_BACKOFF, failure, blame, served, words)
}

// refuses has the endpoint have given an answer.
func refuses(result, words string) func(*explain.Facts) {
	return delivers(func(d *workerv1.ExplainedDelivery) {
		d.Delivery.State, d.Delivery.Failures, d.Delivery.LastError = workerv1.DeliveryState_DELIVERY_STATE_BACKOFF, 3, words
		d.Delivery.Lag, d.Delivery.NextTry, d.LastResult = 2, at(-time.Minute), result
	})
}

func delivers(change func(*workerv1.ExplainedDelivery)) func(*explain.Facts) {
	return func(f *explain.Facts) { change(f.Owner.Said.GetDeliveries()[0]) }
}

func hinted(change func(*workerv1.Listener)) func(*explain.Facts) {
	return func(f *explain.Facts) {
		l := f.Owner.Said.GetListener().GetListener()
		l.State, l.Registration = mailv1.ListenerState_LISTENER_STATE_WAITING, mailv1.Registration_REGISTRATION_REGISTERED
		l.LastHint, l.LastProof = at(time.Minute), at(time.Minute)
		change(l)
	}
}

func unannounced(reason workerv1.UnannouncedReason) func(*explain.Facts) {
	return delivers(func(d *workerv1.ExplainedDelivery) {
		d.Unannounced = &workerv1.Unannounced{At: at(time.Minute), Reason: reason, FirstUid: 13, LastUid: 57}
	})
}

type test struct {
	name    string
	change  func(*explain.Facts)
	cause   decide.Cause
	outcome explain.Outcome
	words   string // of the verdict
}

func tests() []test {
	const either, mailbox, store = workerv1.Blame_BLAME_UNSPECIFIED, workerv1.Blame_BLAME_MAILBOX, workerv1.Blame_BLAME_STORE
	no, note, unknown := explain.No, explain.Note, explain.Unknown
	user := func(change func(*registry.User)) func(*explain.Facts) {
		return func(f *explain.Facts) { change(&f.Registry.User) }
	}
	policy := func(change func(*decide.Policy)) func(*explain.Facts) {
		return func(f *explain.Facts) { change(&f.Policy) }
	}
	place := func(p explain.Placement) func(*explain.Facts) {
		return func(f *explain.Facts) { f.Cluster.Placement = p }
	}
	return []test{
		{"a user that never was", user(func(u *registry.User) { *u = registry.User{UserID: u.UserID} }), decide.NotRegistered, no, "no permanent listener: no client is registered"},
		{"client", policy(func(p *decide.Policy) { p.AllowedClients = decide.Clients{"desk"} }), decide.ClientNotAllowed, no, "push.allowedClients names none of: mobile"},
		{"disabled", user(func(u *registry.User) { u.Enabled = false }), decide.UserDisabled, no, "the user is disabled"},
		{"no store", user(func(u *registry.User) { u.Store = "" }), decide.NoMailStore, no, "no mail store is known"},
		{"unknown store", user(func(u *registry.User) { u.Store = "gone" }), decide.UnknownMailStore, no, `no such mail store "gone"`},
		{"permanent off", policy(func(p *decide.Policy) { p.AllowPermanentPush = false }), decide.PermanentPushOff, no, "push.allowPermanentPush is off"},
		{"unknown backend", user(func(u *registry.User) { u.Store = "typo" }), decide.UnknownBackend, no, `no backend "imapidel"`},
		{"backend off", policy(func(p *decide.Policy) { p.PermanentBackends["imapidle"] = false }), decide.BackendNotPermanent, no, "imapidle.supportsPermanentListeners is off"},
		{"login off", policy(func(p *decide.Policy) { p.CredStorage = false }), decide.LoginUnusable, no, "push.credstorage.enabled, which is off"},
		{"login ambiguous", func(f *explain.Facts) {
			f.Policy.Doveadm = map[string]string{"demo": "{user}@{context}"}
			f.Registry.User.UserID, f.Registry.User.Credential = registry.UserID{Context: "b@c", User: "a"}, registry.Credential{State: registry.CredentialNone}
		}, decide.LoginAmbiguous, no, "contextId: has a character in it"},
		{"no login", user(func(u *registry.User) { u.Credential = registry.Credential{State: registry.CredentialNone} }), decide.NoCredential, no, "no login is stored"},
		{"login lost by the vault", func(f *explain.Facts) { f.Vault.Has = false }, decide.NoCredential, note, "the vault does not have the login"},
		{"lost while nobody could ask", func(f *explain.Facts) {
			backsOff(workerv1.MailFailure_MAIL_FAILURE_CREDENTIALS, mailbox, 1, "credential cannot be asked for")(f)
			f.Vault.Has = false
		}, decide.NoCredential, no, "does not have the login; credential cannot be asked for"},
		{"lost, and the store was told", func(f *explain.Facts) {
			f.Vault.Has, f.Registry.User.Credential.State, f.Registry.User.Credential.Reason = false, registry.CredentialSuspended, "no credential is stored"
		}, decide.NoCredential, no, "the vault has no login: no credential is stored"},
		{"wrong password", user(func(u *registry.User) {
			u.Credential.State, u.Credential.Reason = registry.CredentialSuspended, "refused"
		}),
			decide.LoginRefused, no, "credential suspended: refused"},
		{"wrong password, a moment ago", fails(mailv1.ListenerState_LISTENER_STATE_SUSPENDED, workerv1.MailFailure_MAIL_FAILURE_REFUSED, mailbox, 1, "mail store refused the credential"),
			decide.LoginRefused, no, "mail store refused the credential"},
		{"no credential, a moment ago", fails(mailv1.ListenerState_LISTENER_STATE_SUSPENDED, workerv1.MailFailure_MAIL_FAILURE_NO_CREDENTIAL, mailbox, 1, "no credential is stored"),
			decide.NoCredential, no, "no credential is stored"},

		{"registry", func(f *explain.Facts) { f.Registry = explain.Registry{Down: true} }, explain.RegistryDown, no, "no push: the registry's database does not answer"},
		{"no worker", func(f *explain.Facts) { f.Cluster.Workers = decide.NoWorkers }, decide.NoWorker, no, "no permanent listener: no worker is live"},
		{"incapable", func(f *explain.Facts) { f.Cluster.Workers = decide.Incapable }, decide.NoCapableWorker, no, "no live worker is capable of imapidle"},
		{"no scheduler", func(f *explain.Facts) { f.Cluster, f.Owner = explain.Cluster{Down: true}, explain.Owner{} }, explain.SchedulerSilent, unknown, "it is not known whether"},
		{"no scheduler, a known worker", func(f *explain.Facts) { f.Cluster = explain.Cluster{Down: true} }, explain.SchedulerSilent, unknown, "no scheduler answers"},
		{"etcd", func(f *explain.Facts) { f.Cluster = explain.Cluster{Down: true, EtcdDown: true} }, explain.EtcdDown, note, "what runs goes on, worker w1 among it"},
		{"etcd, and nobody known", func(f *explain.Facts) {
			f.Cluster, f.Owner = explain.Cluster{Down: true, EtcdDown: true}, explain.Owner{}
		}, explain.EtcdDown, unknown, "etcd does not answer"},
		{"in doubt", func(f *explain.Facts) { f.Owner.Said.Right = workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT }, explain.EtcdDown, note, "worker w1 is in doubt"},
		{"no member", func(f *explain.Facts) { f.Owner.Said.Right = workerv1.RightToAct_RIGHT_TO_ACT_NONE }, explain.BetweenOwners, no, "no member of the cluster any more"},
		{"full", place(explain.Placement{Capable: true, NoRoom: true, Leader: "s1"}), explain.WorkersFull, no, "has room for shard 17"},
		{"draining", place(explain.Placement{Leader: "s1"}), explain.WorkersDraining, no, "is being drained"},
		{"no leader", place(explain.Placement{Capable: true}), explain.NoLeader, no, "no scheduler leads"},
		{"granted", place(explain.Placement{Granted: "w2", Capable: true, Leader: "s1"}), explain.BetweenOwners, no, "granted to worker w2"},
		{"given up", place(explain.Placement{Holder: "w1", Releasing: []string{"w1"}, Capable: true, Leader: "s1"}), explain.BetweenOwners, no, "w1 has yet to let go"},
		{"to be granted", place(explain.Placement{Capable: true, Leader: "s1"}), explain.BetweenOwners, no, "it is nobody's at the moment"},
		{"unknown place", func(f *explain.Facts) {
			f.Cluster.Placement, f.Cluster.NoPlacement = explain.Placement{Leader: "s1"}, true
		}, explain.BetweenOwners, no, "no live worker runs shard 17"},
		{"silent", func(f *explain.Facts) { f.Owner.Said = nil }, explain.WorkerSilent, unknown, "worker w1 does not answer"},
		{"of the release before", func(f *explain.Facts) { f.Owner.Said, f.Owner.TooOld = nil, true }, explain.WorkerTooOld, unknown, "worker w1 is of a release"},
		{"cursors, for a moment", func(f *explain.Facts) { f.Owner.Said.UncommittedSince = at(10 * time.Second) }, explain.CursorsNotStored, note, "sends nothing new after 30s"},
		{"cursors", func(f *explain.Facts) { f.Owner.Said.UncommittedSince = at(time.Minute) }, explain.CursorsNotStored, no, "and sends nothing new"},

		{"not loaded", func(f *explain.Facts) { f.Owner.Said.Listener = nil }, explain.NotLoaded, no, "has no listener for the user yet"},
		{"connecting", fails(mailv1.ListenerState_LISTENER_STATE_CONNECTING, 0, either, 0, ""), explain.Connecting, note, `it connects to mail store "demo"`},
		{"polling", fails(mailv1.ListenerState_LISTENER_STATE_POLLING, 0, either, 2, "mail store offers no IDLE; asking at intervals"), explain.Polled, note, "mail store offers no IDLE"},
		{"store down", backsOff(workerv1.MailFailure_MAIL_FAILURE_UNAVAILABLE, store, 0, "connection refused"), explain.StoreDown, no, `connection refused; mail store "demo" serves 0 of 2`},
		{"store slow", backsOff(workerv1.MailFailure_MAIL_FAILURE_TIMEOUT, either, 0, "no greeting within 10s"), explain.StoreDown, no, "the next try is at 2026-03-01T10:01:00Z"},
		{"store closes", backsOff(workerv1.MailFailure_MAIL_FAILURE_CLOSED, store, 1, "closed"), explain.StoreDown, no, "closed"},
		{"store down, tried just now", fails(mailv1.ListenerState_LISTENER_STATE_CONNECTING, workerv1.MailFailure_MAIL_FAILURE_LOST, either, 0, "goodbye"), explain.StoreDown, no, "it tries again at this moment; before: goodbye"},
		{"others are served", backsOff(workerv1.MailFailure_MAIL_FAILURE_LOST, either, 1, "goodbye"), explain.MailboxNotServed, no, "serves 1 of 2"},
		{"the mailbox's fault", backsOff(workerv1.MailFailure_MAIL_FAILURE_UNAVAILABLE, mailbox, 0, "no such folder"), explain.MailboxNotServed, no, "no such folder"},
		{"TLS", backsOff(workerv1.MailFailure_MAIL_FAILURE_TLS, store, 0, "TLS failed"), explain.StoreRefusesTLS, no, "TLS failed"},
		{"limit", backsOff(workerv1.MailFailure_MAIL_FAILURE_LIMIT, either, 1, "[LIMIT]"), explain.StoreThrottles, no, "[LIMIT]"},
		{"garbage", backsOff(workerv1.MailFailure_MAIL_FAILURE_GARBAGE, either, 0, "not IMAP"), explain.StoreGarbled, no, "not IMAP"},
		{"master user", backsOff(workerv1.MailFailure_MAIL_FAILURE_MASTER_REFUSED, either, 0, "refused the master user"), explain.MasterRefused, no, "refused the master user"},
		{"vault", backsOff(workerv1.MailFailure_MAIL_FAILURE_CREDENTIALS, mailbox, 1, "credential cannot be asked for"), explain.VaultDown, no, "credential cannot be asked for"},
		{"vault, later", func(f *explain.Facts) { f.Vault = explain.Vault{Asked: true, Down: true} }, explain.VaultDown, note, "what is open goes on"},

		{"foreign", hinted(func(l *workerv1.Listener) { l.Registration = mailv1.Registration_REGISTRATION_FOREIGN }), explain.NotAnnounced, note, "another system is registered"},
		{"unsupported", hinted(func(l *workerv1.Listener) { l.Registration = mailv1.Registration_REGISTRATION_UNSUPPORTED }), explain.NotAnnounced, note, "keeps no METADATA"},
		{"not registered", hinted(func(l *workerv1.Listener) { l.Registration = mailv1.Registration_REGISTRATION_FAILED }), explain.NotAnnounced, note, "it is not known whether"},
		{"no notifications", hinted(func(l *workerv1.Listener) { l.LastHint, l.LastEvent = nil, at(time.Hour) }), explain.NoNotifications, note, "none has ever come, although mail has"},
		{"no proof", hinted(func(l *workerv1.Listener) { l.LastProof = nil }), explain.NotProven, note, "it has not told yet"},

		{"subscription disabled", func(f *explain.Facts) {
			f.Registry.Subscriptions[0].Disabled = registry.Disabled{Is: true, Reason: "noisy", At: now}
		}, explain.SubscriptionDisabled, no, "no push to sub_a: it is disabled since 2026-03-01T10:00:00Z: noisy"},
		{"gone for good", func(f *explain.Facts) {
			f.Registry.Subscriptions[0].Disabled = registry.Disabled{Is: true, Gone: true, Reason: "410", At: now}
		}, explain.EndpointGone, no, "deleted at 2026-03-08T10:00:00Z"},
		{"client of one", func(f *explain.Facts) {
			f.Policy.AllowedClients, f.Registry.Subscriptions[0].Client = decide.Clients{"mobile"}, "desk"
		}, decide.ClientNotAllowed, no, "no push to sub_a: push.allowedClients does not name its client desk"},
		{"not delivered", func(f *explain.Facts) { f.Owner.Said.Deliveries = nil }, explain.NotDelivered, no, "worker w1 does not deliver to it"},
		{"cursor ahead", unannounced(workerv1.UnannouncedReason_UNANNOUNCED_REASON_CURSOR_AHEAD), explain.CursorAhead, note, "went back to end at UID 12 at 2026-03-01T09:59:00Z, and the cursor was ahead of it, at 57"},
		{"gone mail", unannounced(workerv1.UnannouncedReason_UNANNOUNCED_REASON_GONE), explain.MailGone, note, "UID 13 to 57"},
		{"unreadable", delivers(func(d *workerv1.ExplainedDelivery) { d.Unreadable = true }), explain.MailboxUnreadable, no, "INBOX could not be read"},
		{"unconfirmed", delivers(func(d *workerv1.ExplainedDelivery) {
			d.Delivery.State, d.Delivery.LastError = workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED, "503"
		}), explain.EndpointUnconfirmed, no, "has not answered the ping yet, and gets no mail; the last answer: 503"},
		{"endpoint down", refuses("retry", "500"), explain.EndpointDown, no, "did not accept, 3 times in a row: 500; the next try is at 2026-03-01T10:01:00Z"},
		{"endpoint 410", refuses("gone", "410"), explain.EndpointGone, no, "410"},
		{"endpoint 401", refuses("auth", "401"), explain.EndpointRefuses, no, "401"},
		{"endpoint 302", refuses("misconfigured", "302"), explain.EndpointMisconfigured, no, "302"},
		{"endpoint 400", refuses("permanent_item", "400"), explain.MailRefused, no, "400"},
		{"breaker", delivers(func(d *workerv1.ExplainedDelivery) {
			d.Delivery.State, d.OriginDownSince, d.OriginReason = workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN, at(time.Hour), "connection refused"
		}), explain.OriginDown, no, "since 2026-03-01T09:00:00Z, and is tried now and then: connection refused"},
		{"secret not open", delivers(func(d *workerv1.ExplainedDelivery) {
			d.Unmade, d.Delivery.LastError = true, "opening the signing secret"
		}),
			explain.VaultDown, no, "no push can be made: opening the signing secret"},
		{"gathering", delivers(func(d *workerv1.ExplainedDelivery) {
			d.Delivery.State, d.Delivery.NextTry = workerv1.DeliveryState_DELIVERY_STATE_GATHERING, at(-time.Second)
		}), explain.Gathering, note, "until 2026-03-01T10:00:01Z"},
		{"on its way", delivers(func(d *workerv1.ExplainedDelivery) {
			d.Delivery.State, d.Delivery.Lag, d.Delivery.OldestPending = workerv1.DeliveryState_DELIVERY_STATE_BUSY, 1, at(time.Minute)
		}), explain.OnItsWay, note, "since 2026-03-01T09:59:00Z"},
	}
}

func TestExplainNamesWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	seen := make(map[decide.Cause]bool)
	for _, tt := range tests() {
		seen[tt.cause] = true
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := well()
			tt.change(&f)
			got := explain.Explain(f)
			if got.Cause != tt.cause || !strings.Contains(got.Verdict, tt.words) || got.Advice == "" {
				t.Fatalf("cause %q, verdict %q, advice %q; want %q with %q", got.Cause, got.Verdict, got.Advice, tt.cause, tt.words)
			}
			i := slices.IndexFunc(got.Steps, func(s explain.Step) bool { return s.Outcome == tt.outcome })
			if i < 0 || got.Steps[i].Cause != tt.cause || !strings.Contains(got.Verdict, got.Steps[i].Detail) {
				t.Errorf("steps %+v, want the first %v to be of %q", got.Steps, tt.outcome, tt.cause)
			}
			for _, s := range got.Steps {
				if (s.Cause == "") != (s.Outcome == explain.Yes) || s.Check == "" || s.Detail == "" {
					t.Errorf("step %+v", s)
				}
			}
		})
	}
	for _, cause := range explain.Causes() {
		if !seen[cause] {
			t.Errorf("no test leads to %q", cause)
		}
	}
}

func TestNothingStandsInTheWay(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*explain.Facts){
		"idle":   func(*explain.Facts) {},
		"hinted": hinted(func(l *workerv1.Listener) { l.LastHint = nil }),
		"mail on its way": delivers(func(d *workerv1.ExplainedDelivery) {
			d.Delivery.State, d.Delivery.Lag, d.Delivery.OldestPending = workerv1.DeliveryState_DELIVERY_STATE_BUSY, 1, at(time.Second)
		}),
	} {
		f := well()
		change(&f)
		got := explain.Explain(f)
		if got.Cause != "" || got.Advice != "" || got.Verdict != "nothing stands in the way of pushes" {
			t.Errorf("%s: %+v", name, got)
		}
		for _, s := range got.Steps {
			if s.Outcome != explain.Yes {
				t.Errorf("%s: step %+v", name, s)
			}
		}
	}
}

// A no counts before a note, wherever the two are, and each subscription has its own way.
func TestTheFirstNoCountsBeforeNotes(t *testing.T) {
	t.Parallel()
	f := well()
	f.Owner.Said.Right = workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT
	f.Registry.Subscriptions = append(f.Registry.Subscriptions, registry.Subscription{
		ID: "sub_b", Client: "mobile", Disabled: registry.Disabled{Is: true, Reason: "noisy", At: now},
	})
	got := explain.Explain(f)
	if got.Cause != explain.SubscriptionDisabled || !strings.HasPrefix(got.Verdict, "no push to sub_b: ") {
		t.Errorf("%+v", got)
	}
	var of []string
	for _, s := range got.Steps {
		of = append(of, s.Subscription)
	}
	if of = slices.Compact(of); !slices.Equal(of, []string{"", "sub_a", "sub_b"}) {
		t.Errorf("steps are about %q", of)
	}
}

// The page for operators has a row for each cause, and none for what there is not.
func TestEveryCauseIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []decide.Cause
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, decide.Cause(row[1]))
	}
	slices.Sort(rows)
	if want := explain.Causes(); !slices.Equal(rows, want) {
		t.Errorf("documented: %q\nwant: %q", rows, want)
	}
}
