// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain

import "mailpush.internal/services/admin-api/internal/decide"

// The causes beside those of the decision. A code that was given out keeps its meaning.
const (
	RegistryDown          decide.Cause = "registry-down"
	EtcdDown              decide.Cause = "etcd-away"
	VaultDown             decide.Cause = "vault-down"
	SchedulerSilent       decide.Cause = "scheduler-silent"
	WorkersFull           decide.Cause = "workers-full"
	WorkersDraining       decide.Cause = "workers-draining"
	NoLeader              decide.Cause = "no-leader"
	BetweenOwners         decide.Cause = "between-owners"
	WorkerSilent          decide.Cause = "worker-silent"
	WorkerTooOld          decide.Cause = "worker-too-old"
	CursorsNotStored      decide.Cause = "cursors-not-stored"
	NotLoaded             decide.Cause = "not-loaded"
	Connecting            decide.Cause = "connecting"
	Polled                decide.Cause = "polled"
	StoreDown             decide.Cause = "store-down"
	StoreRefusesTLS       decide.Cause = "store-refuses-tls"
	StoreThrottles        decide.Cause = "store-throttles"
	StoreGarbled          decide.Cause = "store-garbled"
	MasterRefused         decide.Cause = "master-refused"
	MailboxNotServed      decide.Cause = "mailbox-not-served"
	NotAnnounced          decide.Cause = "not-announced"
	NoNotifications       decide.Cause = "no-notifications"
	NotProven             decide.Cause = "not-proven"
	SubscriptionDisabled  decide.Cause = "subscription-disabled"
	NotDelivered          decide.Cause = "not-delivered"
	CursorAhead           decide.Cause = "cursor-ahead"
	MailGone              decide.Cause = "mail-gone"
	MailboxUnreadable     decide.Cause = "mailbox-unreadable"
	EndpointUnconfirmed   decide.Cause = "endpoint-unconfirmed"
	EndpointDown          decide.Cause = "endpoint-down"
	EndpointGone          decide.Cause = "endpoint-gone"
	EndpointRefuses       decide.Cause = "endpoint-refuses"
	EndpointMisconfigured decide.Cause = "endpoint-misconfigured"
	MailRefused           decide.Cause = "mail-refused"
	OriginDown            decide.Cause = "origin-down"
	Gathering             decide.Cause = "gathering"
	OnItsWay              decide.Cause = "on-its-way"
)

// Advice is what to do about a cause.
func Advice(cause decide.Cause) string { return advice()[cause] }

func advice() map[decide.Cause]string {
	return map[decide.Cause]string{
		decide.NotRegistered:       "have the application subscribe the user; is the context the one that it subscribes under?",
		decide.ClientNotAllowed:    "name the client in push.allowedClients, or have the user subscribe with one that is named",
		decide.UserDisabled:        "enable the user",
		decide.NoMailStore:         "have the application subscribe the user again, with an account that names a mail store",
		decide.UnknownMailStore:    "put the mail store back into mail.stores, or have the user subscribe again with one that is there",
		decide.PermanentPushOff:    "set push.allowPermanentPush to true",
		decide.UnknownBackend:      "give the mail store a backend that this version has, in mail.stores",
		decide.BackendNotPermanent: "set the backend's supportsPermanentListeners to true",
		decide.LoginAmbiguous:      "have an administrator subscribe the user with account.login, or change masterLogin of the mail store",
		decide.LoginUnusable:       "switch on again what the stored login needs, or have the user subscribe with another one",
		decide.NoCredential:        "have the application subscribe the user again, with the login",
		decide.LoginRefused:        "have the application subscribe the user again, with the password that is right by now; the listener comes back by itself",
		decide.NoWorker:            "start a listener-worker; the scheduler gives it shards at once",
		decide.NoCapableWorker:     "start a worker that has the mail store's backend in worker.backends",
		SchedulerSilent:            "see that a scheduler is up and that scheduler.address names it; what runs goes on without",
		RegistryDown:               "bring the registry's database back; admin-api's log says what it answers",
		EtcdDown:                   "bring etcd back, do not restart workers meanwhile; the log of workers and schedulers names the endpoint",
		VaultDown:                  "bring the credential-vault back; everything goes on by itself",
		WorkersFull:                "start another worker, or raise worker.capacity",
		WorkersDraining:            "undrain one of them, or start another worker",
		NoLeader:                   "see that a scheduler is up and reaches etcd",
		BetweenOwners:              "nothing: it passes within seconds; if not, look at the log of the scheduler that leads and of the worker named",
		WorkerSilent:               "look after the worker: if its process is gone, its shards pass on when its lease ends",
		WorkerTooOld:               "look at pushusers --output wide and pushusers subscriptions; bring the worker to this release",
		CursorsNotStored:           "see that workers reach admin-api, and that its database takes what is written",
		NotLoaded:                  "wait for a moment; if it lasts, the worker's log says what it could not read of the registry",
		Connecting:                 "wait for a moment; connectsPerSecond and connectsAtOnce of the mail store are the pace",
		Polled:                     "nothing, or have the mail store offer IDLE; pollInterval is how late pushes may be",
		StoreDown:                  "see that the mail store is up and that workers reach its address; listeners come back by themselves, pushusers retry hurries them",
		StoreRefusesTLS:            "look at tls, caFile and serverName of the mail store, and at its certificate",
		StoreThrottles:             "raise the mail store's limits for the workers' addresses, or lower connectsPerSecond and connectsAtOnce",
		StoreGarbled:               "see what listens at the mail store's address: it does not speak IMAP as expected",
		MasterRefused:              "mend the master user's password, at the mail store or in mail.masterPasswordFile of the vault; nobody has to subscribe again",
		MailboxNotServed:           "look at this mailbox at the mail store: others there are served; pushusers retry USER@CONTEXT tries at once",
		NotAnnounced:               "see what is registered for the mailbox at the mail store; until then it is asked at intervals",
		NoNotifications:            "see that the mail store reaches worker.notify.listen, and look at its log",
		NotProven:                  "see that the mail store answers for this mailbox; its words are in the listener's error",
		SubscriptionDisabled:       "pushusers subscriptions enable ID lets it go on at its cursor",
		NotDelivered:               "wait for a moment; if it lasts, the worker's log names the transport that it lacks",
		CursorAhead:                "nothing: mail above the end is pushed from now on; pushusers subscriptions replay ID --from UID sends older mail",
		MailGone:                   "nothing: it was deleted or moved before its push; a filter or another client did so",
		MailboxUnreadable:          "look at this mailbox at the mail store; it is read again by itself",
		EndpointUnconfirmed:        "have the endpoint answer the ping with 2xx; pushusers subscriptions test ID shows what it says",
		EndpointDown:               "mend the endpoint; mail is kept for it, and pushusers subscriptions enable ID has it tried at once",
		EndpointGone:               "is it there again? pushusers subscriptions restore ID within 7 days, or enable ID; else let it go",
		EndpointRefuses:            "give the endpoint the signing secret of this subscription, or rotate it",
		EndpointMisconfigured:      "mend the endpoint's URL or certificate, or subscribe again with what its answer asks for",
		MailRefused:                "see why the endpoint answers 4xx: a wrong secret looks like that; nothing is stepped over within 10 minutes",
		OriginDown:                 "bring the endpoint's server back; it is tried by itself, and everything that waits goes out then",
		Gathering:                  "nothing: the push goes out when the time is up; mode each has every mail pushed by itself",
		OnItsWay:                   "wait for a moment; if it lasts, the endpoint or the mail store is slow: see pushusers subscriptions",
	}
}
