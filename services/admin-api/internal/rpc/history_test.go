// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"slices"
	"testing"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Whatever can be stored is shown by its name, and nothing is shown that cannot be stored.
func TestEveryKindOfHistoryIsShown(t *testing.T) {
	t.Parallel()
	kinds := []registry.HistoryKind{
		registry.Subscribed, registry.TargetChanged, registry.SecretRotated, registry.EndpointConfirmed,
		registry.SubscriptionDisabled, registry.SubscriptionEnabled, registry.SubscriptionRestored, registry.SubscriptionEnded,
		registry.Replayed, registry.DeadLettersMade, registry.MailboxReset, registry.LoginChanged, registry.LoginSuspended,
		registry.StoreChanged, registry.UserDisabled, registry.UserEnabled, registry.UserRemoved,
	}
	var shown []adminv1.HistoryKind
	for _, k := range kinds {
		shown = append(shown, historyKind(k))
	}
	slices.Sort(shown)
	if n := len(adminv1.HistoryKind_name) - 1; len(slices.Compact(shown)) != n || shown[0] == adminv1.HistoryKind_HISTORY_KIND_UNSPECIFIED {
		t.Errorf("shown are %v, want all %d but the unspecified one", shown, n)
	}
	if got := historyKind("of_a_later_release"); got != adminv1.HistoryKind_HISTORY_KIND_UNSPECIFIED {
		t.Errorf("a later one is shown as %s", got)
	}
}
