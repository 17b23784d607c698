// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Explanation is a decision and, where it is yes, how the listener fares.
type Explanation struct {
	decide.Decision

	Listener []decide.Step
}

// Explain walks the decision for one user. A user that nobody has registered is
// explained, too: by its first check.
func (e *Edge) Explain(ctx context.Context, user registry.UserID) (Explanation, error) {
	u, err := e.Store.User(ctx, user)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return Explanation{}, err
	}
	d := decide.Listener(e.Policy, u, e.capability(ctx, e.Policy.Stores[u.Store]))
	if !d.OK() {
		return Explanation{Decision: d}, nil
	}
	return Explanation{d, e.explainListener(ctx, u)}, nil
}

// explainListener tells how a listener fares that has to be told of new mail.
func (e *Edge) explainListener(ctx context.Context, u registry.User) []decide.Step {
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return nil // the check for workers has told
	}
	said, _ := ask(ctx, e.Log, e.byOwner([]registry.User{u}, members.Workers), e.listeners)
	if len(said) != 1 || said[0].Registration == mailv1.Registration_REGISTRATION_UNSPECIFIED {
		return nil
	}
	return []decide.Step{registrationStep(said[0]), notificationStep(said[0]), proofStep(said[0])}
}

func registrationStep(l Listener) decide.Step {
	step := decide.Step{Check: "announcing", Detail: l.LastError}
	switch l.Registration {
	case mailv1.Registration_REGISTRATION_REGISTERED:
		step.OK, step.Detail = true, "the mail store is told to announce the mailbox's new mail"
	case mailv1.Registration_REGISTRATION_FOREIGN:
		step.Detail = cmp.Or(step.Detail, "another system is registered for the mailbox; it is asked at intervals")
	case mailv1.Registration_REGISTRATION_UNSUPPORTED:
		step.Detail = cmp.Or(step.Detail, "the mail store keeps no METADATA; the mailbox is asked at intervals")
	case mailv1.Registration_REGISTRATION_UNSPECIFIED, mailv1.Registration_REGISTRATION_FAILED:
		step.Detail = cmp.Or(step.Detail, "it is not known whether the mailbox is registered")
	}
	return step
}

func notificationStep(l Listener) decide.Step {
	switch {
	case !l.LastHint.IsZero():
		return decide.Step{Check: "notifications", OK: true, Detail: "the last one came at " + l.LastHint.UTC().Format(time.RFC3339)}
	case l.LastEvent.IsZero():
		return decide.Step{Check: "notifications", OK: true, Detail: "none has come yet, nor has mail"}
	default:
		return decide.Step{Check: "notifications", Detail: "none has ever come, although mail has: does the mail store reach worker.notify.listen?"}
	}
}

func proofStep(l Listener) decide.Step {
	if l.LastProof.IsZero() || l.State == mailv1.ListenerState_LISTENER_STATE_BACKOFF {
		return decide.Step{Check: "answering", Detail: cmp.Or(l.LastError, "it has not told yet where the mailbox ends")}
	}
	return decide.Step{Check: "answering", OK: true, Detail: "it told where the mailbox ends at " + l.LastProof.UTC().Format(time.RFC3339)}
}

func (e *Edge) capability(ctx context.Context, backend string) decide.Capability {
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		e.Log.WarnContext(ctx, "scheduler did not answer", "error", err)
		return decide.Unknown
	}
	if slices.ContainsFunc(members.Workers, func(w Worker) bool { return slices.Contains(w.Backends, backend) }) {
		return decide.Capable
	}
	return decide.Incapable
}
