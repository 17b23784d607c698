// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"fmt"

	"mailpush.internal/services/admin-api/internal/registry"
)

// accountChanged is what an enrolment has made of its user's account. Many applications
// bring their login at each start: of those that end no suspension the last of a day is
// kept. A user's first login is part of the first subscription.
func accountChanged(before, after userRow, e registry.Enrolment) (out []registry.HistoryEntry) {
	note := func(kind registry.HistoryKind, reason, merge string) {
		out = append(out, registry.HistoryEntry{Kind: kind, Client: e.Client, Reason: reason, Merge: merge})
	}
	if before.Store != "" && after.Store != before.Store {
		note(registry.StoreChanged, fmt.Sprintf("from %s to %s", before.Store, after.Store), "")
	}
	if e.Credential == nil {
		return out
	}
	switch old := before.credential(); {
	case e.Credential.State == registry.CredentialSuspended:
		note(registry.LoginSuspended, e.Credential.Reason, "")
	case !e.BringsLogin() && e.Credential.Kind != registry.KindDoveadm: // the vault has lost it
	case old.State == registry.CredentialSuspended:
		note(registry.LoginChanged, "was suspended: "+old.Reason, "")
	case old.Version > 0:
		note(registry.LoginChanged, "", e.Client)
	}
	return out
}

// resubscribed is what a new Subscribe of the same device has changed: most change nothing
// of note.
func resubscribed(before, asked subscriptionRow) (out []registry.HistoryEntry) {
	if before.Disabled {
		out = append(out, before.enabledAgain(registry.SubscriptionEnabled))
	}
	if before.target() != asked.target() {
		to := fmt.Sprintf("from %s to %s", before.origin(), asked.origin())
		if before.origin() == asked.origin() {
			to = "another path at " + asked.origin()
		}
		moved := before.happened(registry.TargetChanged, to)
		moved.Merge = before.ID + " " + to
		out = append(out, moved)
	}
	return out
}

// origin is where pushes go, as it may be shown.
func (r subscriptionRow) origin() string { return cmp.Or(r.Origin, r.Transport) }
