// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

// ReportEndpoints implements RegistryServiceHandler. A verdict is returned for each report,
// in their order: there is no refused claim by itself, since a report may be passed over
// for other reasons as well.
func (s shards) ReportEndpoints(
	ctx context.Context, req *connect.Request[registryv1.ReportEndpointsRequest],
) (*connect.Response[registryv1.ReportEndpointsResponse], error) {
	reports := make([]registry.Report, len(req.Msg.GetReports()))
	for i, r := range req.Msg.GetReports() {
		reports[i] = registry.Report{
			Claim: claim(r.GetClaim()), Subscription: r.GetSubscriptionId(), Revision: r.GetRevision(),
			Outcome: outcome(r.GetOutcome()), Reason: r.GetReason(), Since: since(r.GetSince()),
			AbsentSince: since(r.GetAbsentSince()), AbsentSeen: since(r.GetAbsentSeen()), Proven: r.GetProven(),
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

// since is a moment that the worker may not have named; zero then.
func since(at *timestamppb.Timestamp) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.AsTime()
}

// outcome is never asked for one that is not in the table: a rule of the message refuses
// those that this release does not know.
func outcome(o registryv1.EndpointOutcome) registry.Outcome {
	return map[registryv1.EndpointOutcome]registry.Outcome{
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED: registry.OutcomeConfirmed,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_HEALTHY:   registry.OutcomeHealthy,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_FAILING:   registry.OutcomeFailing,
		registryv1.EndpointOutcome_ENDPOINT_OUTCOME_GONE:      registry.OutcomeGone,
	}[o]
}

// verdict says nothing, the unspecified one, for a report that has come to nothing: workers
// take that, as any they do not know, for "as it was".
func verdict(v registry.Verdict) registryv1.EndpointVerdict {
	return map[registry.Verdict]registryv1.EndpointVerdict{
		registry.VerdictKept:     registryv1.EndpointVerdict_ENDPOINT_VERDICT_KEPT,
		registry.VerdictDeleted:  registryv1.EndpointVerdict_ENDPOINT_VERDICT_DELETED,
		registry.VerdictDisabled: registryv1.EndpointVerdict_ENDPOINT_VERDICT_DISABLED,
		registry.VerdictHeld:     registryv1.EndpointVerdict_ENDPOINT_VERDICT_HELD,
	}[v]
}
