// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package decide

// Cause is the code of a reason why there is no listener, or no push: for programs that
// count them. A code that was given out keeps its meaning.
type Cause string

// The causes that the decision knows. Package explain has those of what comes after it, and
// says what to do about each.
const (
	NotRegistered       Cause = "not-registered"
	ClientNotAllowed    Cause = "client-not-allowed"
	UserDisabled        Cause = "user-disabled"
	NoMailStore         Cause = "no-mail-store"
	UnknownMailStore    Cause = "unknown-mail-store"
	PermanentPushOff    Cause = "permanent-push-off"
	UnknownBackend      Cause = "unknown-backend"
	BackendNotPermanent Cause = "backend-not-permanent"
	LoginAmbiguous      Cause = "login-ambiguous"
	LoginUnusable       Cause = "login-unusable"
	NoCredential        Cause = "no-credential" //nolint:gosec // the code for one that is missing
	LoginRefused        Cause = "login-refused"
	NoWorker            Cause = "no-worker"
	NoCapableWorker     Cause = "no-capable-worker"
)
