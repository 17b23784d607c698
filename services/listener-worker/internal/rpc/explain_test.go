// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/services/listener-worker/internal/deliver"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/listen/machine"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// fakeDeliveries explains what it is told to.
type fakeDeliveries struct {
	Deliveries

	said deliver.Explanation
	err  error
}

func (f fakeDeliveries) Explain(context.Context, mailbox.User) (deliver.Explanation, error) {
	return f.said, f.err
}

func explainUser(t *testing.T, w Worker) (*workerv1.ExplainUserResponse, error) {
	t.Helper()
	w.ID = func() string { return "w1" }
	w.Right = func() workerv1.RightToAct { return workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT }
	answer, err := New(w).ExplainUser(t.Context(), connect.NewRequest(&workerv1.ExplainUserRequest{
		User: &mailv1.User{ContextId: "1", UserId: "249"},
	}))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

func TestExplainUserTellsWhatListenersAndDeliveriesSay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	listener := listen.Explanation{
		Status: listen.Status{
			User: mailbox.User{Context: "1", ID: "249"}, Backend: "imapidle",
			Status: machine.Status{State: mailv1.ListenerState_LISTENER_STATE_BACKOFF, LastError: "refused", Failure: mailbox.ClassTLS, Blame: mailbox.BlameStore},
		},
		NextTry: at, Store: listen.ExplainedStore{Name: "demo", DownSince: at, Listeners: 7, Served: 0},
	}
	lane := deliver.ExplainedLane{
		Status: deliver.Status{Subscription: "sub_a", Folder: "INBOX", Status: pump.Status{State: pump.AwaitsOrigin, Failures: 3}},
		Explanation: pump.Explanation{
			Result: transport.Gone, FolderEnd: 9, LastPush: at,
			Unannounced: pump.Unannounced{At: at, Reason: pump.CursorAhead, First: 8, Last: 9},
		},
		OriginDownSince: at, OriginReason: "connection refused",
	}
	got, err := explainUser(t, Worker{
		Explain:    func(context.Context, mailbox.User) (listen.Explanation, bool, error) { return listener, true, nil },
		Deliveries: fakeDeliveries{said: deliver.Explanation{Lanes: []deliver.ExplainedLane{lane}, UncommittedSince: at}},
	})
	if err != nil {
		t.Fatal(err)
	}
	when := timestamppb.New(at)
	want := &workerv1.ExplainUserResponse{
		Worker: "w1", Right: workerv1.RightToAct_RIGHT_TO_ACT_IN_DOUBT, UncommittedSince: when,
		Listener: &workerv1.ExplainedListener{
			Listener: &workerv1.Listener{
				User: &mailv1.User{ContextId: "1", UserId: "249"}, Backend: "imapidle",
				State: mailv1.ListenerState_LISTENER_STATE_BACKOFF, LastError: "refused",
			},
			Failure: workerv1.MailFailure_MAIL_FAILURE_TLS, Blame: workerv1.Blame_BLAME_STORE, NextTry: when,
			MailStore: "demo", StoreDownSince: when, StoreListeners: 7,
		},
		Deliveries: []*workerv1.ExplainedDelivery{{
			Delivery: &workerv1.Delivery{
				SubscriptionId: "sub_a", Cursor: &mailv1.Cursor{Folder: "INBOX"}, Failures: 3,
				State: workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN,
			},
			LastResult: "gone", FolderEnd: 9, OriginDownSince: when, OriginReason: "connection refused", LastPush: when,
			Unannounced: &workerv1.Unannounced{
				At: when, Reason: workerv1.UnannouncedReason_UNANNOUNCED_REASON_CURSOR_AHEAD, FirstUid: 8, LastUid: 9,
			},
		}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExplainUserOfNobodyAndOfAWorkerThatEnds(t *testing.T) {
	t.Parallel()
	nobody := func(context.Context, mailbox.User) (listen.Explanation, bool, error) {
		return listen.Explanation{}, false, nil
	}
	got, err := explainUser(t, Worker{Explain: nobody, Deliveries: fakeDeliveries{}})
	if err != nil || got.GetListener() != nil || len(got.GetDeliveries()) != 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
	ends := errors.New("it ends")
	if _, err := explainUser(t, Worker{Explain: nobody, Deliveries: fakeDeliveries{err: ends}}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("by a worker that does not deliver any more: %v", err)
	}
	if _, err := explainUser(t, Worker{Explain: func(context.Context, mailbox.User) (listen.Explanation, bool, error) {
		return listen.Explanation{}, false, ends
	}}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("by a worker that does not listen any more: %v", err)
	}
}

// Each class of failure has a word of its own.
func TestEveryFailureHasAWord(t *testing.T) {
	t.Parallel()
	seen := make(map[workerv1.MailFailure]mailbox.Class)
	for class := mailbox.ClassRefused; class <= mailbox.ClassCredentials; class++ {
		word := failureOf(class)
		if other, taken := seen[word]; taken || word == workerv1.MailFailure_MAIL_FAILURE_UNSPECIFIED {
			t.Errorf("%s and %s are both %s", class, other, word)
		}
		seen[word] = class
	}
	if len(seen) != len(workerv1.MailFailure_name)-1 {
		t.Errorf("%d words for %d failures", len(workerv1.MailFailure_name)-1, len(seen))
	}
}
