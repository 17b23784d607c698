// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// ReportEndpoints implements RegistryServiceHandler.
func (s shards) ReportEndpoints(
	ctx context.Context, req *connect.Request[registryv1.ReportEndpointsRequest],
) (*connect.Response[registryv1.ReportEndpointsResponse], error) {
	reports := make([]registry.Report, len(req.Msg.GetReports()))
	for i, r := range req.Msg.GetReports() {
		reports[i] = registry.Report{
			Claim: claim(r.GetClaim()), Subscription: r.GetSubscriptionId(), Revision: r.GetRevision(),
			Outcome: outcome(r.GetOutcome()), Reason: r.GetReason(), Since: since(r),
		}
	}
	began := time.Now()
	verdicts, err := s.edge.Report(ctx, reports)
	if err != nil {
		return nil, err
	}
	s.metrics.judged(verdicts)
	s.record(ctx, "report", began, heeded(reports, verdicts), nil, nil)
	res := &registryv1.ReportEndpointsResponse{}
	for _, v := range verdicts {
		res.Verdicts = append(res.Verdicts, verdict(v))
	}
	return connect.NewResponse(res), nil
}

// heeded are the claims of reports that have come to something: none is refused alone
// for its claim.
func heeded(reports []registry.Report, verdicts []registry.Verdict) []registry.Claim {
	var out []registry.Claim
	for i, v := range verdicts {
		if v != registry.VerdictNone {
			out = append(out, reports[i].Claim)
		}
	}
	return out
}

func since(r *registryv1.EndpointReport) time.Time {
	if r.GetSince() == nil {
		return time.Time{}
	}
	return r.GetSince().AsTime()
}

func outcome(o registryv1.EndpointOutcome) registry.Outcome {
	return map[registryv1.EndpointOutcome]registry.Outcome{
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED: registry.OutcomeConfirmed,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_HEALTHY:   registry.OutcomeHealthy,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_FAILING:   registry.OutcomeFailing,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_GONE:      registry.OutcomeGone,
	}[o]
}

func verdict(v registry.Verdict) registryv1.EndpointVerdict {
	return map[registry.Verdict]registryv1.EndpointVerdict{
		registry.VerdictKept:     registryv1.EndpointVerdict_ENDPOINT_VERDICT_KEPT,
		registry.VerdictDeleted:  registryv1.EndpointVerdict_ENDPOINT_VERDICT_DELETED,
		registry.VerdictDisabled: registryv1.EndpointVerdict_ENDPOINT_VERDICT_DISABLED,
		registry.VerdictHeld:     registryv1.EndpointVerdict_ENDPOINT_VERDICT_HELD,
	}[v]
}
