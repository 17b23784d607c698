// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"

	"connectrpc.com/connect"

	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/hints"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// Notify implements WorkerService.
func (h *Handler) Notify(
	_ context.Context, request *connect.Request[workerv1.NotifyRequest],
) (*connect.Response[workerv1.NotifyResponse], error) {
	response := &workerv1.NotifyResponse{}
	for _, hint := range request.Msg.GetHints() {
		verdict := workerv1.NotifyVerdict_NOTIFY_VERDICT_UNSPECIFIED
		switch h.worker.Hint(routed(hint)) {
		case hints.Taken:
			verdict = workerv1.NotifyVerdict_NOTIFY_VERDICT_TAKEN
		case hints.Unknown:
			verdict = workerv1.NotifyVerdict_NOTIFY_VERDICT_UNKNOWN
		case hints.Elsewhere:
		}
		response.Verdicts = append(response.Verdicts, verdict)
	}
	return connect.NewResponse(response), nil
}

func routed(hint *workerv1.Hint) hints.Routed {
	out := hints.Routed{
		Backend: hint.GetBackend(), User: userOf(hint.GetUser()),
		Hint: mailbox.Hint{
			Folder: hint.GetFolder(), UIDValidity: hint.GetUidValidity(), UID: hint.GetUid(), At: hint.GetAt().AsTime(),
		},
	}
	if told := hint.GetMail(); told != nil {
		out.Unseen = told.GetUnseen()
		out.Mail = &mailbox.Mail{
			UID: out.UID, From: told.GetFrom(), Subject: told.GetSubject(), ReceivedAt: out.At, Size: mailbox.SizeUnknown,
		}
	}
	return out
}
