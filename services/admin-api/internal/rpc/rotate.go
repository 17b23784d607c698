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

// RotateWebhookSecret implements PushServiceHandler. The secret is shown this once, to who
// has rotated it, and only if it was made here.
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

// scheme is the one that is asked for; not said is v1, which every library verifies.
func scheme(s pushv1.Signature) registry.Scheme {
	if s == pushv1.Signature_SIGNATURE_V1A {
		return registry.SchemeV1a
	}
	return registry.SchemeV1
}
