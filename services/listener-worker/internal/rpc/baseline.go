// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// loginsAtOnce is how many mailboxes of one mail store are opened side by side for
	// callers who ask for many: its users' own logins go on meanwhile.
	loginsAtOnce = 16
	// answerTime is kept back of a caller's patience: what is known by then is worth more
	// than what would come too late.
	answerTime = 2 * time.Second
)

// GetBaseline implements WorkerService.
func (h *Handler) GetBaseline(
	ctx context.Context, request *connect.Request[workerv1.GetBaselineRequest],
) (*connect.Response[workerv1.GetBaselineResponse], error) {
	m := request.Msg
	baseline, err := h.baseline(ctx, m.GetStore(), &workerv1.BaselineMailbox{
		User: m.GetUser(), CredentialSlot: m.GetCredentialSlot(), Login: m.GetLogin(),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(baseline), nil
}

// GetBaselines implements WorkerService.
func (h *Handler) GetBaselines(
	ctx context.Context, request *connect.Request[workerv1.GetBaselinesRequest],
) (*connect.Response[workerv1.GetBaselinesResponse], error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
		defer cancel()
	}
	store, boxes := request.Msg.GetStore(), request.Msg.GetMailboxes()
	response := &workerv1.GetBaselinesResponse{Baselines: make([]*workerv1.MailboxBaseline, len(boxes))}
	turns := h.logins.of(store.GetName())
	var opening sync.WaitGroup
	for i, box := range boxes {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			response.Baselines[i] = told(nil, fault.New(fault.Unavailable, "mail store %s has not come to it in time; try again", store.GetName()))
			continue
		}
		opening.Go(func() {
			defer func() { <-turns }()
			response.Baselines[i] = told(h.baseline(ctx, store, box))
		})
	}
	opening.Wait()
	return connect.NewResponse(response), nil
}

func told(baseline *workerv1.GetBaselineResponse, err error) *workerv1.MailboxBaseline {
	if err == nil {
		return &workerv1.MailboxBaseline{Baseline: baseline}
	}
	code, message := rpc.InAnswer(err)
	return &workerv1.MailboxBaseline{Code: code, Message: message}
}

// baseline opens one mailbox.
func (h *Handler) baseline(
	ctx context.Context, store *mailv1.MailStore, box *workerv1.BaselineMailbox,
) (*workerv1.GetBaselineResponse, error) {
	source := h.worker.Sources[store.GetBackend()]
	if source == nil {
		return nil, fault.New(fault.Unavailable, "this worker does not have the backend %q", store.GetBackend())
	}
	login := mailbox.Login{Username: box.GetLogin()}
	if login.Username == "" {
		var err error
		login, err = h.worker.Credentials.Login(ctx, userOf(box.GetUser()), box.GetCredentialSlot())
		if err != nil {
			return nil, err
		}
	}
	end, err := source.Baseline(ctx, store, login)
	if err != nil {
		return nil, err
	}
	cursor := &mailv1.Cursor{Folder: end.Folder, UidValidity: end.UIDValidity, Uid: max(end.UIDNext, 1) - 1}
	return &workerv1.GetBaselineResponse{Cursors: []*mailv1.Cursor{cursor}, CredentialVersion: login.Version}, nil
}

// logins are the turns to open mailboxes, by mail store: a full channel lets nobody in. All
// calls have them in common. The operator's mail stores are few.
type logins struct {
	mu      sync.Mutex
	byStore map[string]chan struct{}
}

func (l *logins) of(store string) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byStore == nil {
		l.byStore = make(map[string]chan struct{})
	}
	turns := l.byStore[store]
	if turns == nil {
		turns = make(chan struct{}, loginsAtOnce)
		l.byStore[store] = turns
	}
	return turns
}
