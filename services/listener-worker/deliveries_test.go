// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	"mailpush.internal/proto/gen/mailpush/worker/v1/workerv1connect"
)

func TestEndpointIsAskedForConsentAndThenServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user := w.user("249")
	subscription := w.subscription(address, "sub_1", user)
	subscription.Confirmed, subscription.Revision = false, 7
	w.registry.put(user, "main", subscription)
	w.plan(id, 1, 10, all()...)
	if ping := receive(t, "ping", w.hook.got); ping.body.Type != "ping" {
		t.Fatalf("first came %+v", ping)
	}
	report := receive(t, "report", w.registry.reported)
	if report.GetSubscriptionId() != "sub_1" || report.GetRevision() != 7 || report.GetClaim().GetEpoch() != 10 ||
		report.GetOutcome() != registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED {
		t.Errorf("report %v", report)
	}
	untilListening(t, w.admin(address), user, true)
	uid := w.mail(user, "new")
	if push := receive(t, "push", w.hook.got); push.body.Type != "mail:new" || push.body.Data.Cursor != uid {
		t.Errorf("push %+v", push)
	}
}

func TestDeliveriesAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	id := w.joined()
	user, client := w.user("249"), w.admin(address)
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, client, user, true)
	w.hook.failNext(1 << 20)
	w.mail(user, "one")
	receive(t, "push", w.hook.got)
	receive(t, "second push", w.hook.got) // the answer to the first has been taken in
	request := &workerv1.GetDeliveriesRequest{Users: []*mailv1.User{user, {ContextId: "1", UserId: "nobody"}}}
	response, err := client.GetDeliveries(t.Context(), connect.NewRequest(request))
	if err != nil {
		t.Fatal(err)
	}
	if len(response.Msg.GetDeliveries()) != 1 || response.Msg.GetWorker() != id {
		t.Fatalf("deliveries %v", response.Msg)
	}
	got := response.Msg.GetDeliveries()[0]
	if got.GetSubscriptionId() != "sub_1" || got.GetCursor().GetFolder() != "INBOX" || got.GetLag() != 1 || got.GetFailures() == 0 ||
		got.GetLastError() != "the endpoint answered 500" || got.GetOldestPending() == nil {
		t.Errorf("delivery %v", got)
	}
}

func TestTestPushIsSentAndItsAnswerTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	w.joined()
	send := func(url string) *workerv1.SendTestResponse {
		t.Helper()
		response, err := w.admin(address).SendTest(t.Context(), connect.NewRequest(&workerv1.SendTestRequest{
			User: w.user("249"), SubscriptionId: "sub_1", Target: webhookAt(url), SecretSlot: 1,
			PreviousSecretUntil: timestamppb.New(time.Now().Add(time.Hour)),
		}))
		if err != nil {
			t.Fatal(err)
		}
		return response.Msg
	}
	if got := send(w.hook.url); !got.GetAccepted() || got.GetResult() != "ok" {
		t.Errorf("answer %v", got)
	}
	if push := receive(t, "test push", w.hook.got); push.body.Type != "test" || push.keys != 2 {
		t.Errorf("test push %+v", push)
	}
	w.hook.failNext(1)
	if got := send(w.hook.url); got.GetAccepted() || got.GetResult() != "retry" || got.GetDetail() != "the endpoint answered 500" {
		t.Errorf("answer %v", got)
	}
}

func TestEndpointsAreToldThatTheirSubscriptionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, _ := w.startWorker()
	w.joined()
	response, err := w.admin(address).SendEndings(t.Context(), connect.NewRequest(&workerv1.SendEndingsRequest{
		User: w.user("249"), Reason: "unsubscribed", Subscriptions: []*workerv1.EndedSubscription{
			{SubscriptionId: "sub_1", Target: webhookAt(w.hook.url)},
		},
	}))
	if err != nil || response.Msg.GetSent() != 1 {
		t.Fatalf("answer %v, %v", response, err)
	}
	if push := receive(t, "ending", w.hook.got); push.body.Type != "subscription:ending" || push.keys != 1 {
		t.Errorf("push %+v", push)
	}
}

// untilSilent waits until a worker serves no calls any more.
func untilSilent(t *testing.T, client workerv1connect.WorkerServiceClient) {
	t.Helper()
	for {
		_, err := client.GetListeners(t.Context(), connect.NewRequest(&workerv1.GetListenersRequest{}))
		if connect.CodeOf(err) == connect.CodeUnavailable {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("it still serves calls")
		}
	}
}

// Stopping waits for the answer to what is in flight, and for the registry to have it.
func TestStopFinishesAndStoresWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, stop := w.startWorker()
	id := w.joined()
	user := w.user("249")
	w.registry.put(user, "main", w.subscription(address, "sub_1", user))
	w.plan(id, 1, 10, all()...)
	untilListening(t, w.admin(address), user, true)
	letGo := w.hook.holdAll()
	defer letGo()
	uid := w.mail(user, "new")
	receive(t, "push", w.hook.got)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	untilSilent(t, w.admin(address)) // it is about to end
	select {
	case <-stopped:
		t.Error("it did not wait for the endpoint")
	default:
	}
	letGo()
	receive(t, "end", stopped)
	select {
	case cursor := <-w.registry.committed:
		if cursor.GetCursor().GetUid() != uid {
			t.Errorf("stored %v", cursor)
		}
	default:
		t.Error("it ended before the cursor was stored")
	}
	if len(w.hook.got) != 0 {
		t.Errorf("a second push: %+v", <-w.hook.got)
	}
}
