// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/shard"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

const subscribe = `{"contextId":"1","userId":"249","clientId":"mobile","topics":["mail:new"],
	"account":{"mailStore":"demo","login":"anna","password":"hunter2-clear"},"webhook":{"url":"https://hook.example/?token=t"}}`

func TestOneSubscriptionFromFirstToLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	changes := w.cluster.Changes(t.Context(), "imapidle")

	got := w.post(asApp, pushPath+"Subscribe", subscribe)
	if got.status != 200 || got.body["permanent"] != true || !strings.HasPrefix(got.str("webhookSecret"), "whsec_") || len(got.body) != 3 {
		t.Fatalf("Subscribe: %d %s", got.status, got.text)
	}
	id := got.str("subscriptionId")
	if touched := <-changes; touched.Shard.Number != shard.Of("1", "249", shards) {
		t.Errorf("touched %v", touched)
	}
	if n := w.vault.accounts(); n != 2 {
		t.Errorf("%d accounts in the vault", n)
	}

	got = w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"1","userId":"249"}`)
	if got.str("subscriptions", 0, "webhookUrl") != "https://hook.example/..." ||
		got.str("subscriptions", 0, "transport") != "webhook" || got.str("subscriptions", 0, "content") != "CONTENT_ENVELOPE" || strings.Contains(got.text, "whsec_") {
		t.Errorf("ListSubscriptions: %s", got.text)
	}
	want := map[string]any{"pushUsers": []any{map[string]any{
		"contextId": "1", "userId": "249", "permanent": true, "backend": "imapidle", "state": "LISTENER_STATE_IDLE", "worker": "w1",
		"lastError": "",
	}}, "nextPageToken": ""}
	if diff := cmp.Diff(want, w.post(asAdmin, adminURL+"ListPushUsers", `{}`).body); diff != "" {
		t.Errorf("ListPushUsers (-want +got):\n%s", diff)
	}
	if got := w.post(asAdmin, adminURL+"ListClientRegistrations", `{"pageSize":1}`); got.str("registrations", 0, "clientId") != "mobile" ||
		got.body["nextPageToken"] == nil {
		t.Errorf("ListClientRegistrations: %s", got.text)
	}
	if got := w.post(asAdmin, adminURL+"ListWorkers", `{}`); got.body["leader"] != "s1" ||
		got.at("workers", 0, "shards") != float64(4) {
		t.Errorf("ListWorkers: %s", got.text)
	}
	if got := w.post(asAdmin, adminURL+"Explain", `{"contextId":"1","userId":"249"}`); got.str("cause") != "connecting" || got.str("userId") != "249" || got.str("advice") == "" {
		t.Errorf("Explain: %s", got.text)
	}
	if got := w.post(asApp, pushPath+"Unsubscribe", `{"subscriptionId":"`+id+`"}`); got.status != 200 || w.vault.accounts() != 0 {
		t.Errorf("Unsubscribe: %s, %d accounts left in the vault", got.text, w.vault.accounts())
	}
	if got := w.post(asAdmin, adminURL+"UnregisterClient", `{"contextId":"1","userId":"249","clientId":"mobile"}`); got.status != 404 {
		t.Errorf("UnregisterClient of nothing: %d %s", got.status, got.text)
	}
	if got := w.counted("mailpush_admin_subscribe_total"); got != 1 {
		t.Errorf("counted %v subscriptions", got)
	}
}

func TestWrongPasswordAndUnreachableStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.worker.set(connect.NewError(connect.CodeUnavailable, errors.New("mail store demo: connection refused")))
	got := w.post(asAdmin, pushPath+"Subscribe", subscribe)
	if got.status != 503 || got.body["message"] != "mail store demo: connection refused" || w.vault.accounts() != 0 {
		t.Errorf("unreachable: %d %s, %d accounts", got.status, got.text, w.vault.accounts())
	}
	w.worker.set(connect.NewError(connect.CodeUnauthenticated, errors.New("mail store demo: login refused")))
	got = w.post(asAdmin, pushPath+"Subscribe", subscribe)
	if got.status != 200 || got.body["permanent"] != false || got.body["reason"] != "credential suspended: mail store demo: login refused" {
		t.Errorf("wrong password: %d %s", got.status, got.text)
	}
	if got := w.post(asAdmin, adminURL+"ListPushUsers", `{}`); !strings.Contains(got.text, "LISTENER_STATE_IDLE") {
		t.Errorf("what the owner reports comes first: %s", got.text)
	}
	w.worker.set(nil)
	if got := w.post(asAdmin, pushPath+"Subscribe", subscribe); got.body["permanent"] != true {
		t.Errorf("right password: %s", got.text)
	}
	accounts, before := w.vault.accounts(), w.post(asAdmin, adminURL+"ListSubscriptions", `{}`).text
	w.worker.set(connect.NewError(connect.CodeUnauthenticated, errors.New("mail store demo: login refused")))
	for _, body := range []string{subscribe, strings.Replace(subscribe, `"mobile"`, `"desktop"`, 1)} {
		got = w.post(asAdmin, pushPath+"Subscribe", body)
		if got.status != 400 || got.body["code"] != "failed_precondition" ||
			got.body["message"] != "account: mail store demo: login refused; the login that is stored is kept, and nothing was changed" {
			t.Errorf("a wrong password after a good one: %d %s", got.status, got.text)
		}
	}
	if got := w.post(asAdmin, adminURL+"ListSubscriptions", `{}`).text; got != before || w.vault.accounts() != accounts {
		t.Errorf("after a refused login there is %s, was %s; %d accounts, were %d", got, before, w.vault.accounts(), accounts)
	}
	raw, err := os.ReadFile(w.database)
	check(t, err)
	wal, err := os.ReadFile(w.database + "-wal")
	check(t, err)
	if strings.Contains(string(raw)+string(wal)+w.log.String(), "hunter2-clear") {
		t.Error("the password is in the database or the log")
	}
}

func TestCallersDoNotSeeTheNetworkInside(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1"
	w := newWorld(t, func(c *Config) { c.VaultAddrs, c.SchedulerAddrs = []string{nobody}, []string{nobody} })
	for what, got := range map[string]reply{
		"the credential vault": w.post(asApp, pushPath+"Subscribe", subscribe),
		"the scheduler":        w.post(asAdmin, adminURL+"ListWorkers", `{}`),
	} {
		if got.status != 503 || got.body["code"] != "unavailable" || got.body["message"] != what+" does not answer; try again" {
			t.Errorf("%s: %d %s", what, got.status, got.text)
		}
	}
	if !strings.Contains(w.log.String(), nobody) {
		t.Error("the log does not say where nobody answered")
	}
}

func TestAnApplicationCannotNameAMailboxForTheMasterUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.PasswordSourceGlobal, c.CredStorage, c.MasterLogins = true, false, map[string]string{"demo": "{user}@{context}"}
	})
	foreign := strings.Replace(subscribe, "anna", "ceo@2", 1)
	if got := w.post(asApp, pushPath+"Subscribe", foreign); got.status != 403 || !strings.Contains(got.text, "account.login: ") || w.vault.accounts() != 0 {
		t.Errorf("another tenant's mailbox: %d %s, %d accounts", got.status, got.text, w.vault.accounts())
	}
	for _, tt := range []struct{ as, body, login string }{
		{asApp, strings.Replace(subscribe, `,"login":"anna","password":"hunter2-clear"`, "", 1), "249@1"},
		{asAdmin, foreign, "ceo@2"},
	} {
		if got := w.post(tt.as, pushPath+"Subscribe", tt.body); got.body["permanent"] != true || w.vault.master("249") != tt.login {
			t.Errorf("want the login %q: %s", tt.login, got.text)
		}
	}
	w.worker.set(connect.NewError(connect.CodeUnauthenticated, errors.New("mail store refused the master user")))
	got := w.post(asAdmin, pushPath+"Subscribe", foreign)
	if got.status != 503 || !strings.HasPrefix(got.str("message"), "mail store refused the master user; ") {
		t.Errorf("a refused master user: %d %s", got.status, got.text)
	}
	if got := w.post(asAdmin, adminURL+"Explain", `{"contextId":"1","userId":"249"}`); got.str("cause") != "connecting" {
		t.Errorf("suspended for it: %s", got.text)
	}
}

func TestBadInputIsAnsweredByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.AllowedClients = []string{"mob*"} })
	edit := func(old, by string) string { return strings.Replace(subscribe, old, by, 1) }
	tests := map[string]struct {
		auth, path, body string
		status           int
		want             string
	}{
		"no credentials":   {"", "Subscribe", subscribe, 401, `"unauthenticated"`},
		"foreign context":  {asApp, "Subscribe", edit(`"1"`, `"2"`), 403, "contextId: "},
		"client":           {asApp, "Subscribe", edit(`"mobile"`, `"web"`), 403, "clientId: client"},
		"bad id":           {asApp, "Subscribe", edit(`"249"`, `"2 49"`), 400, "userId: must be 1 to 254 characters"},
		"empty id":         {asApp, "Subscribe", edit(`"249"`, `""`), 400, "userId: must be 1 to 254 characters"},
		"id too long":      {asApp, "Subscribe", edit(`"249"`, `"`+strings.Repeat("a", 255)+`"`), 400, "userId: must be 1 to 254 characters"},
		"space before id":  {asApp, "Subscribe", edit(`"249"`, `" 249"`), 400, "userId: must be 1 to 254 characters"},
		"line end in id":   {asApp, "Subscribe", edit(`"249"`, `"249\n"`), 400, "userId: must be 1 to 254 characters"},
		"path as id":       {asApp, "Subscribe", edit(`"249"`, `"../249"`), 400, "userId: must be 1 to 254 characters"},
		"pattern as id":    {asApp, "Subscribe", edit(`"249"`, `"*"`), 400, "userId: must be 1 to 254 characters"},
		"id beyond ASCII":  {asApp, "Subscribe", edit(`"249"`, `"zoë"`), 400, "userId: must be 1 to 254 characters"},
		"bad context":      {asAdmin, "Subscribe", edit(`"1"`, `"1 "`), 400, "contextId: must be 1 to 254 characters"},
		"no topics":        {asApp, "Subscribe", edit(`["mail:new"]`, `[]`), 400, "topics: "},
		"unknown topic":    {asApp, "Subscribe", edit(`mail:new`, `mail:old`), 400, "topics[0]: "},
		"no webhook":       {asApp, "Subscribe", `{"contextId":"1","userId":"2","clientId":"mobile","topics":["mail:new"]}`, 400, "set exactly one target: webhook"},
		"mail store":       {asApp, "Subscribe", edit(`"demo"`, `"x"`), 400, `account.mailStore: no such mail store \"x\"; known: demo`},
		"no login":         {asApp, "Subscribe", edit(`"anna"`, `""`), 400, "account.login: "},
		"http URL":         {asApp, "Subscribe", edit(`https:`, `http:`), 400, "webhook.url: must be https"},
		"malformed JSON":   {asApp, "Subscribe", `{"contextId":`, 400, `"invalid_argument"`},
		"unknown field":    {asApp, "Subscribe", edit(`"topics"`, `"topic":"x","topics"`), 400, `"topic: unknown field; SubscribeRequest has contextId, `},
		"unknown value":    {asApp, "Subscribe", edit(`"topics"`, `"content":"CONTENT_STAT","topics"`), 400, `"content: \"CONTENT_STAT\" is none of CONTENT_STATE, `},
		"unknown number":   {asApp, "Subscribe", edit(`"topics"`, `"content":9,"topics"`), 400, `"content: must be one of CONTENT_STATE, CONTENT_IDS, `},
		"broken text":      {asApp, "Subscribe", edit(`"anna"`, `"\ud800"`), 400, `"account.login: is broken text: `},
		"no UTF-8":         {asApp, "Subscribe", edit(`"anna"`, "\"\xe4\""), 400, `"account.login: is broken text: `},
		"minutes":          {asApp, "RotateWebhookSecret", `{"overlap":"5m"}`, 400, `"overlap: \"5m\" must be written in seconds, with their unit: \"300s\"`},
		"no body":          {asApp, "Subscribe", "", 400, `"the request is empty: send a JSON object`},
		"oversized":        {asApp, "Subscribe", `{"contextId":"` + strings.Repeat("1", 2<<20) + `"}`, 413, `"resource_exhausted","message":"the request is larger than 1048576 bytes"`},
		"bad subscription": {asApp, "Unsubscribe", `{"subscriptionId":"x"}`, 400, "subscriptionId: "},
		"no subscription":  {asApp, "Unsubscribe", `{"subscriptionId":"sub_aaaaaaaaaaaaaaaaaaaaaaaaaa"}`, 404, "no such subscription"},
	}
	for name, tt := range tests {
		if got := w.post(tt.auth, pushPath+tt.path, tt.body); got.status != tt.status || !strings.Contains(got.text, tt.want) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	if got := w.post(asAdmin, adminURL+"ListPushUsers", `{"pageToken":"!"}`); got.status != 400 || !strings.Contains(got.text, "pageToken: ") {
		t.Errorf("page token: %d %s", got.status, got.text)
	}
	if got := w.post(asApp, adminURL+"ListWorkers", `{}`); got.status != 403 || !strings.Contains(got.text, `"permission_denied"`) {
		t.Errorf("an application as an administrator: %d %s", got.status, got.text)
	}
	if got := w.post("Basic cm9vdDp3cm9uZw==", adminURL+"ListWorkers", `{}`); !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("a wrong password: %d %v", got.status, got.header)
	}
}

func TestForeignSubscriptionDoesNotExist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	got := w.post(asAdmin, pushPath+"Subscribe", strings.Replace(subscribe, `"1"`, `"2"`, 1))
	id := got.str("subscriptionId")
	if got := w.post(asApp, pushPath+"Unsubscribe", `{"subscriptionId":"`+id+`"}`); got.status != 404 {
		t.Errorf("Unsubscribe: %d %s", got.status, got.text)
	}
	if got := w.post(asApp, pushPath+"ListSubscriptions", `{"contextId":"2","userId":"249"}`); got.status != 403 {
		t.Errorf("ListSubscriptions: %d %s", got.status, got.text)
	}
}

func TestBrowsersOfAllowedOriginsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for origin, want := range map[string]string{"https://console.example": "https://console.example", "https://evil.example": ""} {
		got := w.send(http.MethodOptions, adminURL+"ListPushUsers", "", map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "POST",
			"Access-Control-Request-Headers": "authorization,content-type",
		})
		if got.header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("preflight of %s: %v", origin, got.header)
		}
	}
	got := w.send(http.MethodPost, "/grpc.health.v1.Health/Check", `{"service":"mailpush.push.v1.PushService"}`,
		map[string]string{"Content-Type": "application/json"})
	if got.body["status"] != "SERVING_STATUS_SERVING" && got.body["status"] != "SERVING" {
		t.Errorf("health: %d %s", got.status, got.text)
	}
}

func TestRegistryServesWorkersAndTheSchedulerOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if got := w.post(asAdmin, pushPath+"Subscribe", subscribe); got.status != 200 {
		t.Fatal(got.text)
	}
	ctx, worker := t.Context(), w.registry(identity.Worker)
	mine := &registryv1.Claim{Backend: "imapidle", Shard: shard.Of("1", "249", shards), Epoch: 5}
	stale := &registryv1.Claim{Backend: "imapidle", Shard: mine.GetShard(), Epoch: 4}

	opened, err := worker.OpenEpoch(ctx, connect.NewRequest(&registryv1.OpenEpochRequest{Claims: []*registryv1.Claim{mine, stale}}))
	check(t, err)
	if len(opened.Msg.GetRefused()) != 1 {
		t.Errorf("refused %v", opened.Msg.GetRefused())
	}
	listed, err := worker.ListShard(ctx, connect.NewRequest(&registryv1.ListShardRequest{Claims: []*registryv1.Claim{mine}, KnowsSlots: true}))
	check(t, err)
	box := listed.Msg.GetMailboxes()[0]
	if len(listed.Msg.GetStores()) != 1 || !box.GetPermanent() || len(box.GetSubscriptions()[0].GetCursors()) != 1 {
		t.Errorf("listed %v", listed.Msg)
	}
	if box.GetCredentialVersion() == 0 || w.vault.versionOf("249", "mail", box.GetCredentialSlot()) != box.GetCredentialVersion() {
		t.Errorf("the login is not in slot %d", box.GetCredentialSlot())
	}
	listed, err = worker.ListShard(ctx, connect.NewRequest(&registryv1.ListShardRequest{Claims: []*registryv1.Claim{stale}}))
	if err != nil || len(listed.Msg.GetRefused()) != 1 || len(listed.Msg.GetMailboxes()) != 0 {
		t.Errorf("a stale claim listed %v, %v", listed, err)
	}
	cursor := &registryv1.SubscriptionCursor{
		SubscriptionId: box.GetSubscriptions()[0].GetId(), Cursor: &mailv1.Cursor{Folder: "INBOX", UidValidity: 7, Uid: 101},
	}
	committed, err := worker.CommitCursors(ctx, connect.NewRequest(&registryv1.CommitCursorsRequest{Shards: []*registryv1.ShardCursors{
		{Claim: mine, Cursors: []*registryv1.SubscriptionCursor{cursor}}, {Claim: stale, Cursors: []*registryv1.SubscriptionCursor{cursor}},
	}}))
	if err != nil || len(committed.Msg.GetRefused()) != 1 {
		t.Errorf("committed %v, %v", committed, err)
	}
	suspend := &registryv1.SuspendCredentialRequest{Claim: stale, User: box.GetUser(), CredentialVersion: box.GetCredentialVersion(), Reason: "refused"}
	if _, err := worker.SuspendCredential(ctx, connect.NewRequest(suspend)); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a stale claim suspended: %v", err)
	}
	scheduler := w.registry(identity.Scheduler)
	loads, err := scheduler.ShardLoads(ctx, connect.NewRequest(&registryv1.ShardLoadsRequest{}))
	if err != nil || len(loads.Msg.GetLoads()) != 1 || loads.Msg.GetMaxEpoch() != 5 {
		t.Errorf("loads %v, %v", loads, err)
	}
	suspend.Claim = mine
	_, err = worker.SuspendCredential(ctx, connect.NewRequest(suspend))
	check(t, err)
	loads, err = scheduler.ShardLoads(ctx, connect.NewRequest(&registryv1.ShardLoadsRequest{}))
	if err != nil || len(loads.Msg.GetLoads()) != 0 {
		t.Errorf("loads after the suspension %v, %v", loads, err)
	}

	for _, did := range []string{"open", "list", "commit", "suspend"} { // what histories are judged by
		for epoch, accepted := range map[int]bool{5: true, 4: false} {
			line := fmt.Sprintf("did=%s backend=imapidle shard=%d epoch=%d accepted=%v known=true", did, mine.GetShard(), epoch, accepted)
			if n := strings.Count(w.log.String(), line); n != 1 {
				t.Errorf("%d times %q", n, line)
			}
		}
	}

	for as, want := range map[string]connect.Code{identity.Worker: connect.CodePermissionDenied, identity.Vault: connect.CodePermissionDenied} {
		if _, err := w.registry(as).ShardLoads(ctx, connect.NewRequest(&registryv1.ShardLoadsRequest{})); connect.CodeOf(err) != want {
			t.Errorf("%s asks for loads: %v", as, err)
		}
	}
	_, err = worker.ListShard(ctx, connect.NewRequest(&registryv1.ListShardRequest{Claims: []*registryv1.Claim{{Backend: "imapidle", Shard: 99, Epoch: 1}}}))
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "claims.shard: there are 4 shards, got 99") {
		t.Errorf("a shard that does not exist: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	idle := func(name string) *mailv1.MailStore { return &mailv1.MailStore{Name: name, Backend: "imapidle"} }
	tests := map[string]struct {
		addr   net.Addr
		tls    *tls.Config
		change func(*Config)
		want   string
	}{
		"clear text off loopback": {&net.TCPAddr{IP: net.IPv4zero, Port: 80}, nil, func(*Config) {}, "0.0.0.0:80 is not loopback: it needs TLS"},
		"TLS off loopback":        {&net.TCPAddr{IP: net.IPv4zero, Port: 80}, &tls.Config{MinVersion: tls.VersionTLS13}, func(*Config) {}, ""},
		"loopback":                {loopback, nil, func(*Config) {}, ""},
		"admin without a hash":    {loopback, nil, func(c *Config) { c.Admins = []Admin{{Name: "a"}} }, `admin "a": not an Argon2id hash`},
		"store twice":             {loopback, nil, func(c *Config) { c.Stores = []*mailv1.MailStore{idle("a"), idle("a")} }, `mail store "a" is empty or given twice`},
		"store of no backend":     {loopback, nil, func(c *Config) { c.Stores = []*mailv1.MailStore{{Name: "a"}} }, `mail store "a" names no backend`},
		"master user for whom":    {loopback, nil, func(c *Config) { c.PasswordSourceGlobal, c.Stores = true, []*mailv1.MailStore{idle("a")} }, `mail store "a" needs the login`},
	}
	for name, tt := range tests {
		c, rt := bare(tt.addr, tt.tls)
		tt.change(&c)
		s, err := New(c, rt)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && s.Ready(t.Context()) == nil {
			t.Errorf("%s: ready before it runs", name)
		}
	}
	if CheckPasswordHash(HashPassword(secret.New("x"))) != nil || CheckTokenHash(HashToken(secret.New("x"))) != nil || CheckTokenHash("x") == nil {
		t.Error("the checks do not tell good hashes from bad ones")
	}
	if diff := cmp.Diff(64, len(HashToken(secret.New("x")))); diff != "" {
		t.Error(diff)
	}
}
