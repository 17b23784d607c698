// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
	"mailpush.internal/pkg/rpc"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
)

func TestReportsKeepTheRules(t *testing.T) {
	t.Parallel()
	outcomes := map[registryv1.EndpointOutcome]bool{}
	for _, outcome := range []deliver.Outcome{deliver.Confirmed, deliver.Healthy, deliver.Failing, deliver.Gone} {
		report := deliver.EndpointReport{
			Claim: hold.Claim{Backend: "imapidle", Shard: 3, Epoch: 9}, Subscription: "sub_1", Revision: 4, Outcome: outcome,
			Reason: strings.Repeat("ü", 400), Since: time.Unix(1, 0),
		}
		sent := reportOf(report)
		outcomes[sent.GetOutcome()] = true
		if err := rpc.Validate(&registryv1.ReportEndpointsRequest{Reports: []*registryv1.EndpointReport{sent}}); err != nil {
			t.Error(err)
		}
		if sent.GetClaim().GetEpoch() != 9 || sent.GetRevision() != 4 || sent.GetReason() != strings.Repeat("ü", 256) || sent.GetSince().AsTime().Unix() != 1 {
			t.Errorf("sent %v", sent)
		}
	}
	if len(outcomes) != 4 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	want := map[string]deliver.Verdict{
		"UNSPECIFIED": deliver.Unchanged, "KEPT": deliver.Kept, "DELETED": deliver.Deleted, "DISABLED": deliver.Disabled, "HELD": deliver.Held,
	}
	for number, name := range registryv1.EndpointVerdict_name {
		short := strings.TrimPrefix(name, "ENDPOINT_VERDICT_")
		if got := verdictOf(registryv1.EndpointVerdict(number)); got != want[short] {
			t.Errorf("%s is %v, want %v", short, got, want[short])
		}
	}
	if got := verdictOf(99); got != deliver.Unchanged {
		t.Errorf("an unknown verdict is %v", got)
	}
}
