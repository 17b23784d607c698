// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/hold"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
)

// ReportEndpoints implements [deliver.Registry].
func (c *Registry) ReportEndpoints(ctx context.Context, reports []deliver.EndpointReport) ([]deliver.Verdict, error) {
	request := &registryv1.ReportEndpointsRequest{}
	for _, report := range reports {
		request.Reports = append(request.Reports, reportOf(report))
	}
	response, err := call(ctx, c.service.ReportEndpoints, request)
	if err != nil {
		return nil, err
	}
	verdicts := make([]deliver.Verdict, len(response.GetVerdicts()))
	for i, verdict := range response.GetVerdicts() {
		verdicts[i] = verdictOf(verdict)
	}
	return verdicts, nil
}

func reportOf(report deliver.EndpointReport) *registryv1.EndpointReport {
	out := &registryv1.EndpointReport{
		Claim:          toProto([]hold.Claim{report.Claim})[0],
		SubscriptionId: report.Subscription,
		Revision:       report.Revision,
		Outcome:        outcomeOf(report.Outcome),
		Reason:         clip(report.Reason),
		Proven:         report.Outcome == deliver.Gone,
	}
	if !report.Since.IsZero() {
		out.Since = timestamppb.New(report.Since)
	}
	if !report.Absence.Since.IsZero() {
		out.AbsentSince, out.AbsentSeen = timestamppb.New(report.Absence.Since), timestamppb.New(report.Absence.Last)
	}
	return out
}

func outcomeOf(outcome deliver.Outcome) registryv1.EndpointOutcome {
	switch outcome {
	case deliver.Confirmed:
		return registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED
	case deliver.Healthy:
		return registryv1.EndpointOutcome_ENDPOINT_OUTCOME_HEALTHY
	case deliver.Failing:
		return registryv1.EndpointOutcome_ENDPOINT_OUTCOME_FAILING
	case deliver.Gone:
		return registryv1.EndpointOutcome_ENDPOINT_OUTCOME_GONE
	}
	return registryv1.EndpointOutcome_ENDPOINT_OUTCOME_UNSPECIFIED
}

// verdictOf reads a verdict; one that is not known changes nothing.
func verdictOf(verdict registryv1.EndpointVerdict) deliver.Verdict {
	switch verdict {
	case registryv1.EndpointVerdict_ENDPOINT_VERDICT_KEPT:
		return deliver.Kept
	case registryv1.EndpointVerdict_ENDPOINT_VERDICT_DELETED:
		return deliver.Deleted
	case registryv1.EndpointVerdict_ENDPOINT_VERDICT_DISABLED:
		return deliver.Disabled
	case registryv1.EndpointVerdict_ENDPOINT_VERDICT_HELD:
		return deliver.Held
	case registryv1.EndpointVerdict_ENDPOINT_VERDICT_UNSPECIFIED:
	}
	return deliver.Unchanged
}
