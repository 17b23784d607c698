// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/secret"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/edge"
	"mailpush.internal/services/admin-api/internal/registry"
)

// defaultOverlap is how long two secrets sign when the caller does not say.
const defaultOverlap = 24 * time.Hour

// RotateWebhookSecret implements PushServiceHandler.
func (p push) RotateWebhookSecret(
	ctx context.Context, req *connect.Request[pushv1.RotateWebhookSecretRequest],
) (*connect.Response[pushv1.RotateWebhookSecretResponse], error) {
	caller, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	m := req.Msg
	r := edge.Rotation{Scheme: scheme(m.GetSignature()), Secret: secret.New(m.GetSecret()), Overlap: defaultOverlap}
	if m.GetOverlap() != nil {
		r.Overlap = m.GetOverlap().AsDuration()
	}
	keys, until, err := p.edge.Rotate(ctx, m.GetSubscriptionId(), r, caller.Covers)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pushv1.RotateWebhookSecretResponse{
		WebhookSecret: optional(keys.Made.Reveal()), WebhookPublicKey: optional(keys.Public), PreviousUntil: timestamppb.New(until),
	}), nil
}

func scheme(s pushv1.Signature) registry.Scheme {
	if s == pushv1.Signature_SIGNATURE_V1A {
		return registry.SchemeV1a
	}
	return registry.SchemeV1
}
