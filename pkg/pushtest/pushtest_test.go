// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/pushtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	patience = 20 * time.Second
)

func mail(uid int) string {
	return fmt.Sprintf(`{"type":"mail:new","timestamp":"2026-01-02T03:04:05Z","data":{"contextId":"1","userId":"anna","folder":"INBOX",`+
		`"uidValidity":5,"events":[{"id":"evt_%[1]d","uid":%[1]d,"from":"Zoe","subject":"mail %[1]d","receivedAt":"2026-01-02T03:04:05Z","size":9}],`+
		`"count":1,"unread":3,"cursor":%[1]d}}`, uid)
}

func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// post pushes a body, signed, and returns the answer.
func post(t *testing.T, c *http.Client, url, body string) (status int, said string, err error) {
	t.Helper()
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := key.Sign("msg_1", now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Webhook-Id", "msg_1")
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", signature+" v1,b2xk")
	answer, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func next(t *testing.T, r *pushtest.Receiver, matching ...pushtest.Match) *pushtest.Push {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	push, err := r.Next(ctx, matching...)
	if err != nil {
		t.Fatal(err)
	}
	return push
}

func TestPushIsReadAndVerified(t *testing.T) {
	t.Parallel()
	r := pushtest.Start(t)
	before := time.Now()
	if status, _, err := post(t, client(t), r.URL()+"/anna/phone", mail(7)); err != nil || status != http.StatusNoContent {
		t.Fatalf("%d, %v", status, err)
	}
	got := next(t, r)
	want := pushtest.Data{
		ContextID: "1", UserID: "anna", Folder: "INBOX", UIDValidity: 5, Count: 1, Unread: 3, Cursor: 7,
		Events: []pushtest.Event{{ID: "evt_7", UID: 7, From: "Zoe", Subject: "mail 7", ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Size: 9}},
	}
	if diff := cmp.Diff(want, got.Data); diff != "" || got.Type != pushtest.TypeNewMail || got.Path != "anna/phone" || got.Err != nil {
		t.Errorf("%s to %s, %v (-want +got)\n%s", got.Type, got.Path, got.Err, diff)
	}
	if got.ID() != "msg_1" || got.Signatures() != 2 || got.At.Before(before) || got.At.After(time.Now()) {
		t.Errorf("id %q, %d signatures, at %v", got.ID(), got.Signatures(), got.At)
	}
	if err := got.Verify(secret); err != nil {
		t.Error(err)
	}
	if err := got.Verify("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("another's secret: %v", err)
	}
	if err := got.Verify("whsec_no base64"); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("no secret: %v", err)
	}
	got.Body = append(got.Body, ' ')
	if got.Verify(secret) == nil {
		t.Error("a body that was changed is verified")
	}
}

// Nobody has to look at pings for them to be answered.
func TestPingIsAnsweredByItsChallenge(t *testing.T) {
	t.Parallel()
	r, c := pushtest.Start(t), client(t)
	for range 3 {
		status, said, err := post(t, c, r.URL(), `{"type":"ping","data":{"challenge":"so be it"}}`)
		if err != nil || status != http.StatusOK || said != "so be it" {
			t.Fatalf("%d %q, %v", status, said, err)
		}
	}
	if pings := r.All(pushtest.OfType(pushtest.TypePing)); len(pings) != 3 {
		t.Errorf("%d pings", len(pings))
	}
}

func TestWhatIsNoPushIsTold(t *testing.T) {
	t.Parallel()
	r := pushtest.Start(t)
	if _, _, err := post(t, client(t), r.URL(), "hello"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, r); got.Err == nil || got.Type != "" {
		t.Errorf("%q, %v", got.Type, got.Err)
	}
	if status, _, err := post(t, client(t), r.URL(), strings.Repeat("x", 1<<20+1)); err == nil && status != http.StatusBadRequest {
		t.Errorf("a body without end: %d", status)
	}
}

func TestNextReturnsEachPushOnce(t *testing.T) {
	t.Parallel()
	r, c := pushtest.Start(t), client(t)
	for uid, path := range []string{"/a", "/b", "/a"} {
		if _, _, err := post(t, c, r.URL()+path, mail(uid)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		uid      uint32
		matching []pushtest.Match
	}{
		{1, []pushtest.Match{pushtest.To("/b"), pushtest.OfType(pushtest.TypeNewMail)}},
		{2, []pushtest.Match{pushtest.About("mail 2")}},
		{0, nil},
	} {
		if got := next(t, r, want.matching...); got.Data.Cursor != want.uid {
			t.Errorf("got mail %d, want %d", got.Data.Cursor, want.uid)
		}
	}
	if all := r.All(pushtest.Not(pushtest.To("b"))); len(all) != 2 {
		t.Errorf("%d are kept", len(all))
	}
}

func TestNextTellsWhatCameInstead(t *testing.T) {
	t.Parallel()
	r := pushtest.Start(t)
	if _, _, err := post(t, client(t), r.URL()+"/a", mail(1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Next(ctx, pushtest.To("/b"))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 others came, the last to /a: "+mail(1)) {
		t.Errorf("%v", err)
	}
}

// A push can be seen while its answer is still to come, and waiters are woken by it.
func TestAnswerMayWait(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	r := pushtest.Start(t)
	r.AnswerWith(func(w http.ResponseWriter, _ *http.Request, _ *pushtest.Push) {
		<-seen
		w.WriteHeader(http.StatusTeapot)
	})
	answered := make(chan int, 1)
	c := client(t)
	go func() {
		status, _, _ := post(t, c, r.URL(), mail(1)) // an error is no teapot
		answered <- status
	}()
	next(t, r)
	close(seen)
	if status := <-answered; status != http.StatusTeapot {
		t.Errorf("%d", status)
	}
	r.AnswerWith(pushtest.Refuse(http.StatusGone))
	if status, _, err := post(t, c, r.URL(), mail(2)); err != nil || status != http.StatusGone {
		t.Errorf("%d, %v", status, err)
	}
}

// Close cuts an answer that would never come, and waits until nobody is at work.
func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	working, ended := make(chan struct{}), false
	r, err := pushtest.New(pushtest.Options{Forget: true, Answer: func(_ http.ResponseWriter, request *http.Request, _ *pushtest.Push) {
		close(working)
		<-request.Context().Done()
		ended = true
	}})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	c := client(t)
	go func() {
		_, _, err := post(t, c, r.URL(), mail(1))
		failed <- err
	}()
	<-working
	r.Close()
	if !ended {
		t.Error("an answer is still at work")
	}
	if err := <-failed; err == nil {
		t.Error("it was answered")
	}
	if kept := r.All(); len(kept) > 0 {
		t.Errorf("%d are kept", len(kept))
	}
}

func TestBodiesMayBeThrownAway(t *testing.T) {
	t.Parallel()
	r, err := pushtest.New(pushtest.Options{Discard: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if status, _, err := post(t, client(t), r.URL()+"/x", mail(1)); err != nil || status != http.StatusNoContent {
		t.Errorf("%d, %v", status, err)
	}
	if got := next(t, r); got.Path != "x" || len(got.Body) > 0 || got.Type != "" || got.Err != nil {
		t.Errorf("%+v", got)
	}
}

func TestReceiverSpeaksTLS(t *testing.T) {
	t.Parallel()
	certificate, err := imaptest.NewCertificate(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate.Cert, certificate.Key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pushtest.New(pushtest.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate.Cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	if status, _, err := post(t, &http.Client{Transport: transport}, r.URL()+"/x", mail(1)); err != nil || status != http.StatusNoContent {
		t.Errorf("%d, %v", status, err)
	}
	if _, err := pushtest.New(pushtest.Options{Address: strings.TrimPrefix(r.URL(), "https://")}); err == nil {
		t.Error("an address that is taken was given")
	}
}
