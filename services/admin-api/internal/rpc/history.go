// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"strings"

	"connectrpc.com/connect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/registry"
)

// acting has whatever a call does remembered as its caller's. It stands in one place, so
// that no procedure can forget it.
func acting() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			caller, err := auth.From(ctx)
			if err != nil {
				return nil, err
			}
			a := registry.Actor{Kind: registry.Application, Name: caller.Name}
			if caller.Admin {
				a.Kind = registry.Administrator
			}
			return next(registry.Acting(ctx, a), req)
		}
	}
}

// ListHistory implements AdminServiceHandler.
func (a admin) ListHistory(
	ctx context.Context, req *connect.Request[adminv1.ListHistoryRequest],
) (*connect.Response[adminv1.ListHistoryResponse], error) {
	before, err := decodePlace(req.Msg.GetPageToken(), historyToken)
	if err != nil {
		return nil, err
	}
	list, last, err := a.edge.History(ctx, named(req.Msg), since(req.Msg.GetSince()), before, pageSize(req.Msg.GetPageSize()))
	if err != nil {
		return nil, err
	}
	res := &adminv1.ListHistoryResponse{NextPageToken: encodePlace(last, historyToken)}
	for _, e := range list {
		res.Entries = append(res.Entries, &adminv1.HistoryEntry{
			ContextId: e.Context, UserId: e.User, At: timestamp(e.At), Kind: historyKind(e.Kind), Actor: actor(e.Actor),
			SubscriptionId: e.Subscription, ClientId: e.Client, Reason: e.Reason,
		})
	}
	return connect.NewResponse(res), nil
}

// historyKind is the value of the same name: a test holds the two to it. One that a later
// release has stored is unspecified.
func historyKind(k registry.HistoryKind) adminv1.HistoryKind {
	return adminv1.HistoryKind(adminv1.HistoryKind_value["HISTORY_KIND_"+strings.ToUpper(string(k))])
}

func actor(a registry.Actor) *adminv1.Actor {
	return &adminv1.Actor{
		Name: a.Name,
		Kind: map[registry.ActorKind]adminv1.ActorKind{
			registry.System:        adminv1.ActorKind_ACTOR_KIND_SYSTEM,
			registry.Administrator: adminv1.ActorKind_ACTOR_KIND_ADMINISTRATOR,
			registry.Application:   adminv1.ActorKind_ACTOR_KIND_APPLICATION,
		}[a.Kind],
	}
}
