// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/edge"
)

// Which worker does not answer is nothing to applications.
func TestApplicationsAreNotToldOfWorkers(t *testing.T) {
	t.Parallel()
	got := own(edge.Standing{Worker: "w-17", LastError: "worker w-17 did not answer"})
	if text := protojson.Format(got); strings.Contains(text, "w-17") || !strings.HasPrefix(got.GetLastError(), "not known: ") {
		t.Errorf("shown is %s", text)
	}
}

// What administrators see of a subscription's state applications see, too.
func TestEveryStateIsSeenByApplications(t *testing.T) {
	t.Parallel()
	for number, name := range adminv1.SubscriptionState_name {
		if got := stateOf(adminv1.SubscriptionState(number)); got.String() != name || int32(got) != number {
			t.Errorf("%s is shown as %s: push.v1 needs the same value", name, got)
		}
	}
}
