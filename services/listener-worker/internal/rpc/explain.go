// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// ExplainUser implements WorkerService.
func (h *Handler) ExplainUser(
	ctx context.Context, request *connect.Request[workerv1.ExplainUserRequest],
) (*connect.Response[workerv1.ExplainUserResponse], error) {
	user := userOf(request.Msg.GetUser())
	response := &workerv1.ExplainUserResponse{Worker: h.worker.ID(), Right: h.worker.Right()}
	listener, known, err := h.worker.Explain(ctx, user)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the worker does not listen at the moment")
	}
	if known {
		response.Listener = explainedListener(listener)
	}
	deliveries, err := h.worker.Deliveries.Explain(ctx, user)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the worker does not deliver at the moment")
	}
	response.UncommittedSince = timestamp(deliveries.UncommittedSince)
	for _, lane := range deliveries.Lanes {
		response.Deliveries = append(response.Deliveries, explainedDelivery(lane))
	}
	return connect.NewResponse(response), nil
}

func explainedListener(l listen.Explanation) *workerv1.ExplainedListener {
	return &workerv1.ExplainedListener{
		Listener:       listenerOf(l.Status),
		Failure:        failureOf(l.Failure),
		Blame:          blameOf(l.Blame),
		NextTry:        timestamp(l.NextTry),
		MailStore:      l.Store.Name,
		StoreDownSince: timestamp(l.Store.DownSince),
		StoreListeners: uint32(l.Store.Listeners),
		StoreServed:    uint32(l.Store.Served),
	}
}

func failureOf(class mailbox.Class) workerv1.MailFailure {
	switch class {
	case mailbox.ClassRefused:
		return workerv1.MailFailure_MAIL_FAILURE_REFUSED
	case mailbox.ClassUnexplained:
		return workerv1.MailFailure_MAIL_FAILURE_UNEXPLAINED
	case mailbox.ClassNoCredential:
		return workerv1.MailFailure_MAIL_FAILURE_NO_CREDENTIAL
	case mailbox.ClassMasterRefused:
		return workerv1.MailFailure_MAIL_FAILURE_MASTER_REFUSED
	case mailbox.ClassLimit:
		return workerv1.MailFailure_MAIL_FAILURE_LIMIT
	case mailbox.ClassUnavailable:
		return workerv1.MailFailure_MAIL_FAILURE_UNAVAILABLE
	case mailbox.ClassTLS:
		return workerv1.MailFailure_MAIL_FAILURE_TLS
	case mailbox.ClassGarbage:
		return workerv1.MailFailure_MAIL_FAILURE_GARBAGE
	case mailbox.ClassClosed:
		return workerv1.MailFailure_MAIL_FAILURE_CLOSED
	case mailbox.ClassTimeout:
		return workerv1.MailFailure_MAIL_FAILURE_TIMEOUT
	case mailbox.ClassLost:
		return workerv1.MailFailure_MAIL_FAILURE_LOST
	case mailbox.ClassCredentials:
		return workerv1.MailFailure_MAIL_FAILURE_CREDENTIALS
	}
	return workerv1.MailFailure_MAIL_FAILURE_UNSPECIFIED
}

func blameOf(blame mailbox.Blame) workerv1.Blame {
	switch blame {
	case mailbox.BlameMailbox:
		return workerv1.Blame_BLAME_MAILBOX
	case mailbox.BlameStore:
		return workerv1.Blame_BLAME_STORE
	case mailbox.BlameEither:
	}
	return workerv1.Blame_BLAME_UNSPECIFIED
}

func explainedDelivery(lane deliver.ExplainedLane) *workerv1.ExplainedDelivery {
	out := &workerv1.ExplainedDelivery{
		Delivery:        deliveryOf(lane.Status),
		Unmade:          lane.Unmade,
		Unreadable:      lane.Unreadable,
		FolderEnd:       lane.FolderEnd,
		OriginDownSince: timestamp(lane.OriginDownSince),
		OriginReason:    lane.OriginReason,
		LastPush:        timestamp(lane.LastPush),
		Unannounced:     unannouncedOf(lane.Unannounced),
	}
	if lane.Result != transport.OK {
		out.LastResult = lane.Result.String()
	}
	return out
}

func unannouncedOf(what pump.Unannounced) *workerv1.Unannounced {
	out := &workerv1.Unannounced{At: timestamp(what.At), FirstUid: what.First, LastUid: what.Last}
	switch what.Reason {
	case pump.MailGone:
		out.Reason = workerv1.UnannouncedReason_UNANNOUNCED_REASON_GONE
	case pump.CursorAhead:
		out.Reason = workerv1.UnannouncedReason_UNANNOUNCED_REASON_CURSOR_AHEAD
	default:
		return nil
	}
	return out
}
