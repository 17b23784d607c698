// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"
	"testing"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

// Each state that the API knows is shown in words, and explained.
func TestStatesOfSubscriptionsAreExplained(t *testing.T) {
	t.Parallel()
	for number := range adminv1.SubscriptionState_name {
		state := subscriptionState(adminv1.SubscriptionState(number))
		if !strings.Contains(aboutSubscriptions, "\n  "+state) {
			t.Errorf("%q is not explained", state)
		}
	}
	if got := subscriptionState(adminv1.SubscriptionState_SUBSCRIPTION_STATE_WAITING_FOR_ITS_ORIGIN); got != "waiting for its origin" {
		t.Errorf("it says %q", got)
	}
}
