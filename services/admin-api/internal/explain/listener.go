// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"fmt"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
)

const checkListener = "listener"

// listens walks the listener's state. It leads on to subscriptions also where nobody
// listens: what they wait for by themselves is worth knowing.
func (w *walk) listens(l *workerv1.ExplainedListener) bool {
	if l == nil {
		return w.no(checkListener, NotLoaded, "worker %s has no listener for the user yet: it reads the registry when it is told of a change, and within 5 minutes", w.Owner.ID)
	}
	seen := l.GetListener()
	switch seen.GetState() {
	case mailv1.ListenerState_LISTENER_STATE_SUSPENDED, mailv1.ListenerState_LISTENER_STATE_BACKOFF:
		if l.GetFailure() == workerv1.MailFailure_MAIL_FAILURE_CREDENTIALS && w.lost() {
			return w.no(checkListener, decide.NoCredential, "the vault, which could not be asked, does not have the login; %s", failureText(l))
		}
		return w.no(checkListener, failureCause(l), "%s", failureText(l))
	case mailv1.ListenerState_LISTENER_STATE_CONNECTING:
		if l.GetFailure() != workerv1.MailFailure_MAIL_FAILURE_UNSPECIFIED {
			return w.no(checkListener, failureCause(l), "it tries again at this moment; before: %s", failureText(l))
		}
		return w.note(checkListener, Connecting, "it connects to mail store %q, or waits for its turn to, since %s", l.GetMailStore(), stamp(seen.GetSince().AsTime()))
	case mailv1.ListenerState_LISTENER_STATE_POLLING:
		return w.note(checkListener, Polled, "new mail is noticed at intervals: %s", cmp.Or(seen.GetLastError(), "the mail store does not speak of it by itself"))
	case mailv1.ListenerState_LISTENER_STATE_WAITING:
		return w.yes(checkListener, "it waits to be told of new mail, since %s", stamp(seen.GetSince().AsTime()))
	case mailv1.ListenerState_LISTENER_STATE_IDLE, mailv1.ListenerState_LISTENER_STATE_UNSPECIFIED:
	}
	return w.yes(checkListener, "it is %s since %s", stateText(seen.GetState()), stamp(seen.GetSince().AsTime()))
}

func stateText(state mailv1.ListenerState) string {
	if state == mailv1.ListenerState_LISTENER_STATE_IDLE {
		return "in IDLE"
	}
	return "there"
}

// failureCause is why a listener is not well.
func failureCause(l *workerv1.ExplainedListener) decide.Cause {
	switch l.GetFailure() {
	case workerv1.MailFailure_MAIL_FAILURE_REFUSED, workerv1.MailFailure_MAIL_FAILURE_UNEXPLAINED:
		return decide.LoginRefused
	case workerv1.MailFailure_MAIL_FAILURE_NO_CREDENTIAL:
		return decide.NoCredential
	case workerv1.MailFailure_MAIL_FAILURE_MASTER_REFUSED:
		return MasterRefused
	case workerv1.MailFailure_MAIL_FAILURE_LIMIT:
		return StoreThrottles
	case workerv1.MailFailure_MAIL_FAILURE_TLS:
		return StoreRefusesTLS
	case workerv1.MailFailure_MAIL_FAILURE_GARBAGE:
		return StoreGarbled
	case workerv1.MailFailure_MAIL_FAILURE_CREDENTIALS:
		return VaultDown
	case workerv1.MailFailure_MAIL_FAILURE_UNAVAILABLE, workerv1.MailFailure_MAIL_FAILURE_CLOSED,
		workerv1.MailFailure_MAIL_FAILURE_TIMEOUT, workerv1.MailFailure_MAIL_FAILURE_LOST, workerv1.MailFailure_MAIL_FAILURE_UNSPECIFIED:
	}
	others := l.GetStoreServed() > 0 && l.GetBlame() != workerv1.Blame_BLAME_STORE
	if others || l.GetBlame() == workerv1.Blame_BLAME_MAILBOX {
		return MailboxNotServed
	}
	return StoreDown
}

// failureText says what the mail store or the vault has said, who else meets it, and when
// the next try is.
func failureText(l *workerv1.ExplainedListener) string {
	text := cmp.Or(l.GetListener().GetLastError(), "it is not known why")
	if failureCause(l) != decide.LoginRefused {
		text += fmt.Sprintf("; mail store %q serves %d of %d listeners of this worker", l.GetMailStore(), l.GetStoreServed(), l.GetStoreListeners())
	}
	if down := l.GetStoreDownSince(); down != nil {
		text += ", nobody since " + stamp(down.AsTime())
	}
	if next := l.GetNextTry(); next != nil {
		text += "; the next try is at " + stamp(next.AsTime())
	}
	return text
}

// hinted says how a listener fares that has to be told of new mail. What is not well there
// makes pushes late.
func (w *walk) hinted(l *workerv1.Listener) {
	if l.GetRegistration() == mailv1.Registration_REGISTRATION_UNSPECIFIED {
		return
	}
	w.announced(l)
	switch {
	case l.GetLastHint() != nil:
		w.yes("notifications", "the last one came at %s", stamp(l.GetLastHint().AsTime()))
	case l.GetLastEvent() == nil:
		w.yes("notifications", "none has come yet, nor has mail")
	default:
		w.note("notifications", NoNotifications, "none has ever come, although mail has: does the mail store reach worker.notify.listen?")
	}
	if proof := l.GetLastProof(); proof != nil {
		w.yes("answering", "it told where the mailbox ends at %s", stamp(proof.AsTime()))
		return
	}
	w.note("answering", NotProven, "%s", cmp.Or(l.GetLastError(), "it has not told yet where the mailbox ends"))
}

func (w *walk) announced(l *workerv1.Listener) {
	var usual string
	switch l.GetRegistration() {
	case mailv1.Registration_REGISTRATION_REGISTERED:
		w.yes("announcing", "the mail store is told to announce the mailbox's new mail")
		return
	case mailv1.Registration_REGISTRATION_FOREIGN:
		usual = "another system is registered for the mailbox; it is asked at intervals"
	case mailv1.Registration_REGISTRATION_UNSUPPORTED:
		usual = "the mail store keeps no METADATA; the mailbox is asked at intervals"
	case mailv1.Registration_REGISTRATION_UNSPECIFIED, mailv1.Registration_REGISTRATION_FAILED:
		usual = "it is not known whether the mailbox is registered"
	}
	w.note("announcing", NotAnnounced, "%s", cmp.Or(l.GetLastError(), usual))
}
