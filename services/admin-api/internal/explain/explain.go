// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package explain answers why there is no push for a user. It is a pure function: from what
// registry, scheduler, vault and worker have said at one moment to the way of a mail, step
// by step, and the first thing on it that stands in the way.
//
// Invariant: each step rests on what somebody said. What nobody could say is unknown, and
// neither yes nor no.
package explain

import (
	"fmt"
	"slices"
	"time"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/admin-api/internal/decide"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Facts are what is known of one user at one moment.
type Facts struct {
	Now      time.Time
	Policy   decide.Policy
	Shard    registry.Shard // the user's, under the backend of its mail store
	Registry Registry
	Cluster  Cluster
	Vault    Vault
	Owner    Owner
}

// Registry is what is stored of the user.
type Registry struct {
	Down          bool // the database does not answer, and nothing below is known
	User          registry.User
	Subscriptions []registry.Subscription // those that are asked about
}

// Cluster is what the scheduler says.
type Cluster struct {
	Down        bool              // no scheduler answers, and nothing below is known
	EtcdDown    bool              // etcd does not answer admin-api either
	Workers     decide.Capability // whether a live worker is capable of the user's backend, if that was asked
	NoPlacement bool              // the scheduler is of a release that cannot tell where a shard is
	Placement
}

// Placement is where the user's shard stands between workers, which are named by id.
type Placement struct {
	Holder    string   // who runs it
	Granted   string   // who is to run it
	Releasing []string // who has yet to let go of it
	Capable   bool     // a worker that takes shards is capable of its backend
	NoRoom    bool     // none of those has room for it
	Leader    string   // the scheduler that leads
}

// Vault is what the vault says of the user's login.
type Vault struct {
	Asked bool // there is a login that should be there
	Down  bool // it did not answer
	Has   bool // it is there
}

// Owner is what the worker says that runs the user's shard.
type Owner struct {
	ID     string // empty when there is none to be asked
	TooOld bool   // it is of a release that cannot say
	// Said is what it says; nil when it did not answer.
	Said *workerv1.ExplainUserResponse
}

// Outcome is what came of a check.
type Outcome int

// The outcomes.
const (
	// Yes means that it is not in the way.
	Yes Outcome = iota
	// No means that it stands in the way: there is no push until that is over.
	No
	// Note means that it does not stand in the way for good, and says why a push is late, or
	// why there was none for a mail.
	Note
	// Unknown means that it could not be found out.
	Unknown
)

// Step is one check.
type Step struct {
	Check        string
	Outcome      Outcome
	Cause        decide.Cause // empty for Yes
	Detail       string
	Subscription string // that it is about; empty for the user
}

// Explanation is the way of a mail, step by step.
type Explanation struct {
	Steps   []Step
	Cause   decide.Cause // of what stands in the way; empty when nothing does
	Verdict string       // the same in one sentence
	Advice  string       // what to do about it; empty when there is nothing to do
}

// Explain says why there is no push.
func Explain(f Facts) Explanation {
	w := walk{Facts: f}
	if w.registered() && w.decided() && w.placed() {
		w.owned()
	}
	return w.conclude()
}

// walk is an Explain under way. Each of its methods adds steps, and those that lead on tell
// whether what comes after is worth a look.
type walk struct {
	Facts

	steps     []Step
	undecided bool // the decision says no
}

func (w *walk) add(check string, outcome Outcome, cause decide.Cause, format string, args ...any) bool {
	w.steps = append(w.steps, Step{Check: check, Outcome: outcome, Cause: cause, Detail: fmt.Sprintf(format, args...)})
	return outcome == Yes || outcome == Note
}

func (w *walk) yes(check, format string, args ...any) bool {
	return w.add(check, Yes, "", format, args...)
}

func (w *walk) no(check string, cause decide.Cause, format string, args ...any) bool {
	return w.add(check, No, cause, format, args...)
}

func (w *walk) note(check string, cause decide.Cause, format string, args ...any) bool {
	return w.add(check, Note, cause, format, args...)
}

func (w *walk) unknown(check string, cause decide.Cause, format string, args ...any) bool {
	return w.add(check, Unknown, cause, format, args...)
}

// registered tells whether the registry can say anything.
func (w *walk) registered() bool {
	return !w.Registry.Down || w.no("registry", RegistryDown,
		"the registry's database does not answer: what is stored of the user is not known, and workers can store no cursors")
}

// decided walks the decision whether there is a permanent listener.
func (w *walk) decided() bool {
	d := decide.Listener(w.Policy, w.Registry.User, w.Cluster.Workers)
	for _, s := range d.Steps {
		outcome, cause, detail := Yes, s.Cause, s.Detail
		if !s.OK {
			outcome = No
		}
		if cause == decide.LoginRefused && w.lost() {
			cause, detail = decide.NoCredential, "the vault has no login: "+w.Registry.User.Credential.Reason
		}
		w.steps = append(w.steps, Step{Check: s.Check, Outcome: outcome, Cause: cause, Detail: detail})
	}
	w.undecided = !d.OK()
	return d.OK()
}

// lost tells whether the vault has not what the registry names.
func (w *walk) lost() bool { return w.Vault.Asked && !w.Vault.Down && !w.Vault.Has }

// conclude names what stands in the way: the first no, or what is not known, or else the
// first note.
func (w *walk) conclude() Explanation {
	out := Explanation{Steps: w.steps, Verdict: "nothing stands in the way of pushes"}
	found := w.first(No, Unknown)
	if found == nil {
		found = w.first(Note)
	}
	if found == nil {
		return out
	}
	out.Cause, out.Advice = found.Cause, Advice(found.Cause)
	out.Verdict = w.verdict(*found)
	return out
}

func (w *walk) first(outcomes ...Outcome) *Step {
	for i, s := range w.steps {
		if slices.Contains(outcomes, s.Outcome) {
			return &w.steps[i]
		}
	}
	return nil
}

func (w *walk) verdict(s Step) string {
	about := ""
	if s.Subscription != "" {
		about = " to " + s.Subscription
	}
	switch {
	case s.Outcome == Unknown:
		return fmt.Sprintf("it is not known whether pushes%s go out: %s", about, s.Detail)
	case s.Outcome == Note:
		return fmt.Sprintf("nothing stands in the way of pushes%s for good: %s", about, s.Detail)
	case w.undecided:
		return "no permanent listener: " + s.Detail
	}
	return fmt.Sprintf("no push%s: %s", about, s.Detail)
}
