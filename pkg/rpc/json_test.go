// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

// read is a request as a handler gets it.
func read(t *testing.T, body string, m proto.Message) error {
	t.Helper()
	if err := (publicJSON{}).Unmarshal([]byte(body), m); err != nil {
		t.Fatalf("%s: Connect answers %v itself", body, err)
	}
	return unread(m)
}

func TestValuesOfEnumsNeedNoPrefix(t *testing.T) {
	t.Parallel()
	want := &pushv1.SubscribeRequest{
		ContextId: "1", Topics: []string{"mail:new"}, Content: mailv1.Content_CONTENT_STATE, Mode: mailv1.Mode_MODE_EACH,
		Webhook: &pushv1.Webhook{Url: "https://h/", Signature: pushv1.Signature_SIGNATURE_V1A},
	}
	for _, body := range []string{
		`{"contextId":"1","topics":["mail:new"],"content":"CONTENT_STATE","mode":"MODE_EACH","webhook":{"url":"https://h/","signature":"SIGNATURE_V1A"}}`,
		` {"contextId":"1","topics":["mail:new"],"content":"STATE","mode":"EACH","webhook":{"signature":"V1A","url":"https:\/\/h/"}} `,
		`{"context_id":"1","topics":["mail:new"],"content":1,"mode":"EACH","webhook":{"url":"https://h/","signature":2},"account":null}`,
	} {
		got := new(pushv1.SubscribeRequest)
		if err := read(t, body, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
	got := new(pushv1.SubscribeRequest)
	if err := read(t, `{"content":"UNSPECIFIED","mode":"MODE_UNSPECIFIED"}`, got); err != nil || got.GetContent() != 0 {
		t.Errorf("not said: %v, %v", got, err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	subscribe := func() proto.Message { return new(pushv1.SubscribeRequest) }
	rotate := func() proto.Message { return new(pushv1.RotateWebhookSecretRequest) }
	entries := func() proto.Message { return new(errdetails.ErrorInfo) }
	shard := func() proto.Message { return new(registryv1.CommitCursorsRequest) }
	for _, c := range []struct {
		name string
		as   func() proto.Message
		body string
		want string
	}{
		{"an enum's value", subscribe, `{"content":"ENVELOP"}`,
			`content: "ENVELOP" is none of CONTENT_STATE, CONTENT_IDS, CONTENT_ENVELOPE, CONTENT_READ; CONTENT_ may be left out`},
		{"in another case", subscribe, `{"content":"envelope"}`, `content: "envelope" is none of`},
		{"inside", subscribe, `{"webhook":{"signature":"V2"}}`, `webhook.signature: "V2" is none of SIGNATURE_V1, SIGNATURE_V1A; SIGNATURE_ may be left out`},
		{"no name", subscribe, `{"mode":true}`, "mode: must be one of MODE_LATEST, MODE_BATCH, MODE_EACH"},
		{"a long one", subscribe, `{"mode":"` + strings.Repeat("x", 1000) + `"}`, `mode: "` + strings.Repeat("x", 64) + `..." is none of`},
		{"minutes", rotate, `{"overlap":"5m"}`, `overlap: "5m" must be written in seconds, with their unit: "300s"`},
		{"hours and minutes", rotate, `{"overlap":"1h 30m"}`, `"5400s"`},
		{"days", rotate, `{"overlap":"7d"}`, `"604800s"`},
		{"weeks", rotate, `{"overlap":"1w"}`, `"604800s"`},
		{"milliseconds", rotate, `{"overlap":"250ms"}`, `"0.25s"`},
		{"a number", rotate, `{"overlap":300}`, `overlap: 300 must be written in seconds, with their unit: "300s"`},
		{"a number in quotes", rotate, `{"overlap":"300"}`, `"300s"`},
		{"ISO 8601", rotate, `{"overlap":"PT5M"}`, `overlap: must be a duration in seconds, with their unit, as in "300s"`},
		{"an object", rotate, `{"overlap":{"seconds":300}}`, `overlap: must be a duration`},
		{"beyond all time", rotate, `{"overlap":"1e300"}`, `overlap: must be a duration`},
		{"a lone surrogate", subscribe, `{"userId":"a\ud800b"}`, `userId: is broken text: it holds one half of a surrogate pair`},
		{"the other half", subscribe, `{"userId":"\udc00"}`, `userId: is broken text`},
		{"at the very end", subscribe, `{"account":{"password":"geheim\ud83d"}}`, `account.password: is broken text: it holds one half`},
		{"no UTF-8", subscribe, "{\"account\":{\"login\":\"M\xfcller\"}}", `account.login: is broken text: it holds bytes that are no UTF-8`},
		{"in a list", subscribe, `{"topics":["mail:new","\ud800"]}`, `topics[1]: is broken text`},
		{"in a message in a list", shard, `{"shards":[{},{"cursors":[{"cursor":{"folder":"\ud800"}}]}]}`, `shards[1].cursors[0].cursor.folder: is broken text`},
		{"a number for text", subscribe, `{"userId":249}`, "userId: must be text, in quotes"},
		{"text for a number", shard, `{"shards":[{"cursors":[{"cursor":{"uid":"x"}}]}]}`, "shards[0].cursors[0].cursor.uid: must be a whole number from 0 to 4294967295"},
		{"too great a number", shard, `{"shards":[{"cursors":[{"cursor":{"uid":4294967296}}]}]}`, "cursor.uid: must be a whole number"},
		{"a word for yes", shard, `{"shards":[{"cursors":[{"rewind":"yes"}]}]}`, "rewind: must be true or false"},
		{"a moment", shard, `{"shards":[{"deadLetters":[{"at":"today"}]}]}`, "deadLetters[0].at: must be a time as in "},
		{"no list", subscribe, `{"topics":"mail:new"}`, "topics: must be a list, in brackets"},
		{"no object", subscribe, `{"webhook":"https://h/"}`, "webhook: must be an object, in braces"},
		{"a list for all", subscribe, `[]`, "the request: must be an object, in braces"},
		{"an unknown field", subscribe, `{"account":{"pass":"geheim"}}`, "account.pass: unknown field; Account has mailStore, login, password"},
		{"a broken name", subscribe, `{"user\ud800Id":"1"}`, "user\ufffdId: unknown field; SubscribeRequest has contextId"},
		{"broken text in a map", entries, `{"metadata":{"a":"b","Authorization":"geheim\ud800"}}`, "metadata.Authorization: is broken text"},
		{"a number in a map", entries, `{"metadata":{"a":1}}`, "metadata.a: must be text, in quotes"},
		{"a broken name in a map", entries, `{"metadata":{"\ud800":"b"}}`, "metadata: has a name that is broken, or twice"},
		{"no map", entries, `{"metadata":["a"]}`, "metadata: must be an object, in braces"},
		{"twice", subscribe, `{"userId":"1","userId":"2"}`, `the request cannot be read: (line 1:`},
		{"twice, and to be mended", subscribe, `{"mode":"EACH","userId":"1","userId":"2"}`, `duplicate field`},
		{"nothing", subscribe, " ", "the request is empty: send a JSON object, {} at least"},
		{"half", subscribe, "{\n\"userId\":", "the request is no JSON at line 2, column 9: unexpected end"},
		{"more than one", subscribe, `{"mode":"EACH"} {}`, "the request is no JSON at line 1, column 17: invalid character"},
		{"a query", subscribe, `userId=1`, "the request is no JSON at line 1, column 1: invalid character 'u'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := read(t, c.body, c.as())
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Error("a secret is repeated")
			}
		})
	}
}

// Whatever else it does, it is the contract's JSON that is read.
func FuzzPublicJSON(f *testing.F) {
	for _, seed := range []string{
		`{"contextId":"1","userId":"2","clientId":"c","topics":["mail:new"],"content":"STATE","webhook":{"url":"https://h/"}}`,
		`{"content":"CONTENT_STATE","mode":3,"account":{"mailStore":"m","login":"\ud83d\ude00","password":"\ud83d"}}`,
		`{"context_id":null,"topics":null,"topics":[]}`, `{"webhook":{"signature":"V1A"}} x`, `[[[[`, `{"topics":[1,"a"]}`, "\xef\xbb\xbf{}", `{"mode":1e0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		stock, got := new(pushv1.SubscribeRequest), new(pushv1.SubscribeRequest)
		refused := protojson.Unmarshal(body, stock)
		if err := (publicJSON{}).Unmarshal(body, got); err != nil {
			t.Fatal(err)
		}
		why := unread(got)
		switch {
		case refused == nil && (why != nil || !proto.Equal(stock, got)):
			t.Errorf("%q is %v, and was read as %v, %v", body, stock, got, why)
		case why != nil:
			return
		case refused != nil: // only names of enums' values were written out
			whole, err := protojson.Marshal(got)
			if again := new(pushv1.SubscribeRequest); err != nil || protojson.Unmarshal(whole, again) != nil || !proto.Equal(again, got) {
				t.Errorf("%q became %v, which is %s, %v", body, got, whole, err)
			}
			if got.GetContent() == 0 && got.GetMode() == 0 && got.GetWebhook().GetSignature() == 0 && !strings.Contains(string(body), unspecified) {
				t.Errorf("%q is refused (%v) and was read as %v", body, refused, got)
			}
		}
	})
}
