// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// subscribed makes the one subscription and returns its id.
func (w *world) subscribed(body string) (id string) {
	w.t.Helper()
	got := w.post(asApp, pushPath+"Subscribe", body)
	if got.status != 200 {
		w.t.Fatalf("Subscribe: %d %s", got.status, got.text)
	}
	return got.str("subscriptionId")
}

// mine is the claim to the shard of the one user.
func mine() *registryv1.Claim {
	return &registryv1.Claim{Backend: "imapidle", Shard: shard.Of("1", "249", shards), Epoch: 5}
}

func (w *world) report(r *registryv1.EndpointReport) string {
	w.t.Helper()
	r.Claim = mine()
	res, err := w.registry(identity.Worker).ReportEndpoints(w.t.Context(),
		connect.NewRequest(&registryv1.ReportEndpointsRequest{Reports: []*registryv1.EndpointReport{r}}))
	check(w.t, err)
	return strings.TrimPrefix(res.Msg.GetVerdicts()[0].String(), "ENDPOINT_VERDICT_")
}

// listed is the one subscription as its worker sees it; nil when there is none.
func (w *world) listed() *registryv1.Subscription {
	w.t.Helper()
	res, err := w.registry(identity.Worker).ListShard(w.t.Context(),
		connect.NewRequest(&registryv1.ListShardRequest{Claims: []*registryv1.Claim{mine()}, KnowsSlots: true}))
	check(w.t, err)
	for _, box := range res.Msg.GetMailboxes() {
		for _, sub := range box.GetSubscriptions() {
			return sub
		}
	}
	return nil
}

func TestSecretIsRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(strings.Replace(subscribe, `"webhook":{`, `"mode":"MODE_EACH","webhook":{`, 1))
	got := w.post(asApp, pushPath+"RotateWebhookSecret", `{"subscriptionId":"`+id+`","signature":"SIGNATURE_V1A"}`)
	until, err := time.Parse(time.RFC3339, got.str("previousUntil"))
	if got.status != 200 || !strings.HasPrefix(got.str("webhookPublicKey"), "whpk_") || got.at("webhookSecret") != nil || err != nil {
		t.Fatalf("rotated: %d %s", got.status, got.text)
	}
	if left := time.Until(until); left < 23*time.Hour || left > 24*time.Hour || w.vault.accounts() != 3 {
		t.Errorf("the overlap ends in %s, %d accounts in the vault", left, w.vault.accounts())
	}
	sub := w.listed()
	slot := sub.GetSecretSlot()
	if slot == 0 || sub.GetPreviousSecretSlot() != 0 || sub.GetRevision() != 1 || sub.GetConfirmed() || sub.GetMode() != mailv1.Mode_MODE_EACH ||
		!sub.GetPreviousSecretUntil().AsTime().Equal(until.Truncate(time.Microsecond)) {
		t.Errorf("listed %v, until %v", sub, until)
	}
	got = w.post(asApp, pushPath+"RotateWebhookSecret", `{"subscriptionId":"`+id+`"}`)
	if got.status != 400 || got.str("code") != "failed_precondition" || !strings.Contains(got.text, until.UTC().Format(time.RFC3339)) {
		t.Errorf("during the overlap: %d %s", got.status, got.text)
	}
	if got := w.post(asAdmin, adminURL+"TestSubscription", `{"subscriptionId":"`+id+`"}`); got.body["accepted"] != true ||
		got.str("result") != "ok" || got.str("detail") != fmt.Sprintf("https://hook.example/?token=t of 249 slot %d before 0 headers false, both true", slot) {
		t.Errorf("tested: %d %s", got.status, got.text)
	}
	again := w.post(asApp, pushPath+"Subscribe", subscribe)
	if kept := w.listed(); kept.GetSecretSlot() != slot || kept.GetPreviousSecretUntil() == nil || kept.GetRevision() != 2 ||
		again.at("webhookSecret") != nil || again.at("webhookPublicKey") != nil {
		t.Errorf("subscribed again: listed %v, answered %s", kept, again.text)
	}
	again = w.post(asApp, pushPath+"Subscribe", strings.Replace(subscribe, `"url"`, `"signature":"SIGNATURE_V1","url"`, 1))
	sub = w.listed()
	if sub.GetSecretSlot() == slot || w.vault.versionOf("249", "webhook/"+id, sub.GetSecretSlot()) != sub.GetSecretVersion() || sub.GetRevision() != 3 || sub.GetPreviousSecretUntil() != nil || sub.GetMode() != mailv1.Mode_MODE_BATCH ||
		!strings.HasPrefix(again.str("webhookSecret"), "whsec_") {
		t.Errorf("subscribed with another scheme: listed %v, answered %s", sub, again.text)
	}
	got = w.post(asApp, pushPath+"RotateWebhookSecret", `{"subscriptionId":"`+id+`","overlap":"0s"}`)
	if got.status != 200 || !strings.HasPrefix(got.str("webhookSecret"), "whsec_") {
		t.Errorf("rotated at once: %d %s", got.status, got.text)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"too long":       {`{"subscriptionId":"` + id + `","overlap":"604801s"}`, 400, "overlap: "},
		"unknown scheme": {`{"subscriptionId":"` + id + `","signature":7}`, 400, "signature: "},
		"bad secret":     {`{"subscriptionId":"` + id + `","secret":"whsec_x"}`, 400, "secret: must be whsec_"},
		"no such":        {`{"subscriptionId":"sub_aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, 404, "no such subscription"},
	} {
		if got := w.post(asApp, pushPath+"RotateWebhookSecret", c.body); got.status != c.status || !strings.Contains(got.text, c.want) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	elsewhere := strings.NewReplacer(`"1"`, `"2"`, `"249"`, `"250"`).Replace(subscribe)
	foreign := w.post(asAdmin, pushPath+"Subscribe", elsewhere).str("subscriptionId")
	if got := w.post(asApp, pushPath+"RotateWebhookSecret", `{"subscriptionId":"`+foreign+`"}`); got.status != 404 {
		t.Errorf("of another context: %d %s", got.status, got.text)
	}
	sub = w.listed()
	w.post(asApp, pushPath+"Unsubscribe", `{"subscriptionId":"`+id+`"}`)
	if w.vault.versionOf("249", "webhook/"+id, sub.GetSecretSlot())+w.vault.versionOf("249", "webhook/"+id, sub.GetPreviousSecretSlot()) != 0 {
		t.Error("the secrets are left in the vault")
	}
}

func TestEndpointsAreJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(subscribe)
	confirmed := &registryv1.EndpointReport{SubscriptionId: id, Outcome: registryv1.EndpointOutcome_ENDPOINT_OUTCOME_CONFIRMED}
	if got := w.report(confirmed); got != "KEPT" || !w.listed().GetConfirmed() {
		t.Errorf("confirmed: %s, listed %v", got, w.listed())
	}
	hour := time.Now().Add(-time.Hour).Truncate(time.Second)
	failing := &registryv1.EndpointReport{
		SubscriptionId: id, Outcome: registryv1.EndpointOutcome_ENDPOINT_OUTCOME_FAILING, Reason: "503", Since: timestamppb.New(hour),
	}
	if got := w.report(failing); got != "KEPT" || !w.listed().GetFailingSince().AsTime().Equal(hour) {
		t.Errorf("failing: %s, listed %v", got, w.listed())
	}
	failing.Since = timestamppb.New(hour.Add(-5 * 24 * time.Hour))
	changes := w.cluster.Changes(t.Context(), "imapidle")
	if got := w.report(failing); got != "DISABLED" || w.listed() != nil || (<-changes).Shard.Number != mine().GetShard() {
		t.Errorf("failing for days: %s, listed %v", got, w.listed())
	}
	got := w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`)
	if got.at("subscriptions", 0, "disabled") != true || !strings.HasPrefix(got.str("subscriptions", 0, "disabledReason"), "failing since 20") {
		t.Errorf("ListSubscriptions: %s", got.text)
	}
	if got := w.post(asAdmin, adminURL+"ListPushUsers", `{}`); !strings.Contains(got.text, `"249"`) {
		t.Errorf("the listener is gone: %s", got.text)
	}
	gone := &registryv1.EndpointReport{SubscriptionId: id, Outcome: registryv1.EndpointOutcome_ENDPOINT_OUTCOME_GONE, Revision: 1}
	if got := w.report(gone); got != "UNSPECIFIED" {
		t.Errorf("of another revision: %s", got)
	}
	w.post(asAdmin, adminURL+"EnableSubscription", `{"subscriptionId":"`+id+`"}`)
	w.isGoneAndRestored(t, id, gone)
	if n := strings.Count(w.log.String(), "did=report backend=imapidle"); n != 6 { // all but that of another revision
		t.Errorf("%d claims are on record as accepted", n)
	}
	if n, held := w.counted("mailpush_admin_endpoint_reports_total"), w.counted("mailpush_admin_held_gone_total"); n != 7 || held != 0 {
		t.Errorf("%v reports counted, %v held", n, held)
	}
	_, err := w.registry(identity.Scheduler).ReportEndpoints(t.Context(),
		connect.NewRequest(&registryv1.ReportEndpointsRequest{Reports: []*registryv1.EndpointReport{gone}}))
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("the scheduler reports: %v", err)
	}
	for _, bad := range []*registryv1.EndpointReport{nil, {Claim: mine(), SubscriptionId: id}, {Claim: mine(), SubscriptionId: id, Outcome: 9}} {
		_, err := w.registry(identity.Worker).ReportEndpoints(t.Context(),
			connect.NewRequest(&registryv1.ReportEndpointsRequest{Reports: []*registryv1.EndpointReport{bad}}))
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// isGoneAndRestored has the endpoint of a subscription be gone, and be there again.
func (w *world) isGoneAndRestored(t *testing.T, id string, gone *registryv1.EndpointReport) {
	t.Helper()
	cursors := w.listed().GetCursors()
	if got := w.report(gone); got != "KEPT" || w.listed() == nil { // so a worker of an earlier release says it
		t.Errorf("without evidence: %s, listed %v", got, w.listed())
	}
	gone.Proven = true
	for range 2 {
		if got := w.report(gone); got != "DISABLED" || w.vault.accounts() != 2 || w.listed() != nil {
			t.Errorf("gone: %s, %d accounts in the vault, listed %v", got, w.vault.accounts(), w.listed())
		}
	}
	for _, got := range []reply{
		w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`),
		w.post(asAdmin, adminURL+"ListSubscriptions", `{"contextId":"1","userId":"249"}`),
	} {
		until, err := time.Parse(time.RFC3339, got.str("subscriptions", 0, "keptUntil"))
		if left := time.Until(until); err != nil || left > 7*24*time.Hour || left < 7*24*time.Hour-time.Minute {
			t.Errorf("kept until %s, %v: %s", until, err, got.text)
		}
	}
	if got := w.post(asAdmin, adminURL+"RestoreSubscription", `{"subscriptionId":"`+id+`"}`); got.status != 200 {
		t.Errorf("restored: %d %s", got.status, got.text)
	}
	if sub := w.listed(); sub.GetId() != id || len(cursors) == 0 || !slices.EqualFunc(sub.GetCursors(), cursors, func(a, b *mailv1.Cursor) bool { return proto.Equal(a, b) }) {
		t.Errorf("listed %v, want the cursors %v", sub, cursors)
	}
	got := w.post(asAdmin, adminURL+"RestoreSubscription", `{"subscriptionId":"`+id+`"}`)
	if got.str("code") != "failed_precondition" || !strings.Contains(got.text, "is not disabled") {
		t.Errorf("restored again: %d %s", got.status, got.text)
	}
	if n := w.counted("mailpush_admin_gone_total"); n != 2 {
		t.Errorf("%v steps counted", n)
	}
}

func TestAdministratorsManageSubscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(subscribe)
	w.worker.delivers(&workerv1.Delivery{SubscriptionId: id, State: workerv1.DeliveryState_DELIVERY_STATE_IDLE, Lag: 2})
	line := func() map[string]any {
		t.Helper()
		got := w.post(asAdmin, adminURL+"ListSubscriptions", `{"contextId":"1","userId":"249"}`)
		one, _ := got.at("subscriptions", 0).(map[string]any)
		if got.status != 200 || one == nil || strings.Contains(got.text, "token=t") {
			t.Fatalf("ListSubscriptions: %d %s", got.status, got.text)
		}
		delete(one, "createdAt")
		delete(one, "since")
		return one
	}
	want := map[string]any{
		"subscriptionId": id, "contextId": "1", "userId": "249", "clientId": "mobile", "transport": "webhook",
		"origin": "https://hook.example:443", "mode": "MODE_BATCH", "state": "SUBSCRIPTION_STATE_ACTIVE", "lag": float64(2), "worker": "w1",
		"cursors":  []any{map[string]any{"folder": "INBOX", "uidValidity": float64(7), "uid": float64(100)}},
		"deviceId": "", "lastError": "", "webhookHeaderNames": []any{},
	}
	if diff := cmp.Diff(want, line()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	do := func(call, more string) reply {
		t.Helper()
		return w.post(asAdmin, adminURL+call, `{"subscriptionId":"`+id+`"`+more+`}`)
	}
	if got := do("DisableSubscription", `,"reason":"noisy"`); got.status != 200 || w.listed() != nil {
		t.Errorf("disabled: %d %s", got.status, got.text)
	}
	if got := line(); got["state"] != "SUBSCRIPTION_STATE_DISABLED" || got["lastError"] != "noisy" {
		t.Errorf("disabled: %v", got)
	}
	if got := do("TestSubscription", ""); got.body["accepted"] != true {
		t.Errorf("a disabled one is tested: %d %s", got.status, got.text)
	}
	if got := do("EnableSubscription", ""); got.status != 200 || w.listed().GetRevision() != 1 {
		t.Errorf("enabled: %d %s, listed %v", got.status, got.text, w.listed())
	}
	if got := do("ReplaySubscription", `,"fromUid":60`); got.at("cursor", "uid") != float64(59) || got.str("cursor", "folder") != "INBOX" ||
		w.listed().GetReplay() != 1 {
		t.Errorf("replayed: %d %s, listed %v", got.status, got.text, w.listed())
	}
	for more, want := range map[string]string{
		`,"fromUid":61`: "fromUid: is above 60", `,"fromUid":1,"folder":"Sent"`: "folder: nothing has been served", ``: "fromUid: ",
	} {
		if got := do("ReplaySubscription", more); got.status != 400 || !strings.Contains(got.text, want) {
			t.Errorf("replay %s: %d %s", more, got.status, got.text)
		}
	}
	for _, call := range []string{"DisableSubscription", "EnableSubscription", "RestoreSubscription", "ReplaySubscription", "TestSubscription", "ListDeadLetters"} {
		body := `{"subscriptionId":"sub_aaaaaaaaaaaaaaaaaaaaaaaaaa","fromUid":1}`
		if call != "ReplaySubscription" {
			body = strings.Replace(body, `,"fromUid":1`, "", 1)
		}
		if got := w.post(asAdmin, adminURL+call, body); got.status != 404 || !strings.Contains(got.text, "no such subscription") {
			t.Errorf("%s of nothing: %d %s", call, got.status, got.text)
		}
		if got := w.post(asApp, adminURL+call, body); got.status != 403 {
			t.Errorf("%s by an application: %d %s", call, got.status, got.text)
		}
	}
	if got := w.post(asAdmin, adminURL+"ListSubscriptions", `{"userId":"249"}`); got.status != 400 || !strings.Contains(got.text, "contextId: ") {
		t.Errorf("a user without a context: %d %s", got.status, got.text)
	}
}

func TestDeadLettersAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	id := w.subscribed(subscribe)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	letter := func(uid uint32, at *timestamppb.Timestamp) *registryv1.DeadLetter {
		return &registryv1.DeadLetter{SubscriptionId: id, Folder: "INBOX", UidValidity: 7, FirstUid: uid, LastUid: uid, Reason: "413", At: at}
	}
	_, err := w.registry(identity.Worker).CommitCursors(t.Context(), connect.NewRequest(&registryv1.CommitCursorsRequest{Shards: []*registryv1.ShardCursors{{
		Claim: mine(),
		Cursors: []*registryv1.SubscriptionCursor{{
			SubscriptionId: id, Rewind: true, Cursor: &mailv1.Cursor{Folder: "INBOX", UidValidity: 7, Uid: 90},
		}},
		DeadLetters: []*registryv1.DeadLetter{
			letter(88, timestamppb.New(at)), letter(89, timestamppb.New(at.Add(time.Second))), letter(90, timestamppb.New(at.Add(24*time.Hour))),
		},
	}}}))
	check(t, err)
	if got := w.listed().GetCursors()[0].GetUid(); got != 90 {
		t.Errorf("the cursor is at %d", got)
	}
	var uids []any
	token := ""
	for {
		got := w.post(asAdmin, adminURL+"ListDeadLetters", `{"pageSize":2,"pageToken":"`+token+`","subscriptionId":"`+id+`"}`)
		list, _ := got.at("deadLetters").([]any)
		for i := range list {
			uids = append(uids, got.at("deadLetters", i, "firstUid"))
			if got.str("deadLetters", i, "userId") != "249" || got.str("deadLetters", i, "reason") != "413" {
				t.Errorf("listed %s", got.text)
			}
			if when, err := time.Parse(time.RFC3339, got.str("deadLetters", i, "at")); err != nil || when.After(time.Now()) {
				t.Errorf("at %v, %v", when, err)
			}
		}
		if token = got.str("nextPageToken"); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]any{float64(90), float64(89), float64(88)}, uids); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.post(asAdmin, adminURL+"ListDeadLetters", `{"pageToken":"!"}`); got.status != 400 || !strings.Contains(got.text, "pageToken: ") {
		t.Errorf("page token: %d %s", got.status, got.text)
	}
}
