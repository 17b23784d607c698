// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/secret"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
	worker "mailpush.internal/services/listener-worker"
)

// tardy is an answer that waited for more than the 300 ms that one may take, on a machine
// as busy as can be: whoever waits for etcd or for an owner takes longer.
const tardy = 3 * time.Second

// datagrams has a worker take datagrams by a unix socket, and returns its path.
func datagrams(t *testing.T) (path string, change func(*worker.Config)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	socket, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	return path, func(c *worker.Config) {
		c.Backends = []string{"mailnotify"}
		c.MailNotify = worker.MailNotify{Sockets: []net.PacketConn{socket}}
	}
}

// notified has a worker take notifications by HTTP, and returns where.
func notified(t *testing.T) (url string, change func(*worker.Config)) {
	t.Helper()
	listener := listenTCP(t)
	return "http://" + listener.Addr().String() + "/preliminary/http-notify/v1/notify", func(c *worker.Config) {
		c.Notify = worker.Notify{Listener: listener, Name: "dove", Password: secret.New("s3cret")}
	}
}

// put notifies as Dovecot does, and returns the answer's status, text and time.
func put(t *testing.T, url, body string) (status int, text string, took time.Duration) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("dove", "s3cret")
	began := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(said)), time.Since(began)
}

func notification(name string, validity, uid uint32, subject string) string {
	return fmt.Sprintf(`{"user":%q,"event":"messageNew","folder":"INBOX","imap-uidvalidity":%d,"imap-uid":%d,"from":"Zoe <zoe@example.org>","subject":%q,"unseen":9}`,
		name, validity, uid, subject)
}

// send sends a datagram.
func send(t *testing.T, path, user string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "ox\x00MAIL\x00\x00%s\x00INBOX\x000\x00\x00", user); err != nil {
		t.Fatal(err)
	}
}

// subscribed is a user whose mail store tells of new mail.
func (w *world) subscribed(address, id string) (*mailv1.User, *registryv1.Subscription) {
	w.t.Helper()
	w.registry.stores[0].Backend = "mailnotify"
	user := w.user(id)
	subscription := w.subscription(address, "sub_"+id, user)
	w.registry.put(user, "main", subscription)
	return user, subscription
}

// waitsForWord starts a worker with a user, 249@1, whose listener waits for notifications.
func (w *world) waitsForWord() (url string, user *mailv1.User, subscription *registryv1.Subscription, stop func()) {
	w.t.Helper()
	w.registry.stores[0].Backend = "mailnotify"
	_, takes := datagrams(w.t)
	url, notifies := notified(w.t)
	address, stop := w.startWorker(takes, notifies)
	id := w.joined()
	user, subscription = w.subscribed(address, "249")
	w.plan(id, 1, 10, all()...)
	w.reported(id, 1)
	w.untilState(address, user, waiting)
	return url, user, subscription, stop
}

// untilState waits until a user's listener is in a state.
func (w *world) untilState(address string, user *mailv1.User, state mailv1.ListenerState) {
	w.t.Helper()
	client := w.admin(address)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		response, err := client.GetListeners(w.t.Context(), connect.NewRequest(&workerv1.GetListenersRequest{Users: []*mailv1.User{user}}))
		if err == nil && len(response.Msg.GetListeners()) == 1 && response.Msg.GetListeners()[0].GetState() == state {
			return
		}
		<-time.After(5 * time.Millisecond) // the RPC has no way to wait for a change
	}
	w.t.Fatalf("the listener of %v is never %v", user, state)
}

const waiting = mailv1.ListenerState_LISTENER_STATE_WAITING

// A mail that a notification tells is pushed as it was told, without a read; one that is
// not the next is read with all that lies in between.
func TestTheNotificationIsTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url, user, subscription, _ := w.waitsForWord()

	validity := subscription.GetCursors()[0].GetUidValidity()
	uid := w.mail(user, "in the mailbox")
	if status, text, took := put(t, url, notification("249@1", validity, uid, "=?utf-8?q?as_t=C3=B6ld?=")); status != 200 || text != "local" {
		t.Errorf("answered %d %q after %s", status, text, took)
	}
	push := receive(t, "push", w.hook.got).body
	event := push.Data.Events[0]
	if event.Subject != "as töld" || event.UID != uid || event.Size != 0 || event.ReceivedAt.IsZero() || push.Data.Unread != 9 {
		t.Errorf("push %+v", push.Data)
	}
	w.mail(user, "between")
	uid = w.mail(user, "read")
	put(t, url, notification("249@1", validity, uid, "told"))
	for last := uint32(0); last != uid; {
		for _, event := range receive(t, "push", w.hook.got).body.Data.Events {
			if last = event.UID; event.Subject == "told" || event.Size == 0 {
				t.Errorf("event %+v, want it read", event)
			}
		}
	}
	for name, want := range map[string]string{"777@1": "unknown", "nobody": "unknown"} {
		if status, text, _ := put(t, url, notification(name, 1, 1, "x")); status != 200 || text != want && text != "remembered" {
			t.Errorf("%s: answered %d %q, want %q", name, status, text, want)
		}
	}
}

// A mail is pushed as a real Dovecot, at which the worker has registered its mailbox, has
// announced it.
func TestDovecotAnnouncesMail(t *testing.T) {
	t.Parallel()
	url, notifies := notified(t)
	d := newDovecotWith(t, dovecottest.Options{NotifyURL: strings.Replace(url, "http://", "http://dove:s3cret@", 1)})
	if d == nil {
		return
	}
	d.registry.stores[0].Backend = "dovecot"
	address, _ := d.startWorker(notifies, func(c *worker.Config) { c.Backends = []string{"dovecot"} })
	id := d.joined()
	d.registry.put(d.user, "main", d.subscription(address, "sub_announced", d.user))
	d.plan(id, 1, 10, all()...)
	d.reported(id, 1)
	for _, subject := range []string{"one", "two", "three"} {
		d.untilState(address, d.user, waiting)
		d.deliver(subject)
		push := receive(t, "push", d.hook.got).body
		if event := push.Data.Events[0]; push.Data.Count != 1 || event.Subject != subject || event.Size != 0 {
			t.Errorf("push %+v, want %q as it was announced", push.Data, subject)
		}
	}
}

// Word that comes to any worker reaches the one that listens, also under a login.
func TestWordOfMailFindsTheWorkerThatListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.registry.stores[0].Backend = "mailnotify"
	_, takes := datagrams(t)
	address, stop := w.startWorker(takes)
	owner := w.joined()
	user, _ := w.subscribed(address, "249")
	w.registry.logins = map[string]*mailv1.User{"anna": user}
	w.plan(owner, 1, 10, all()...)
	w.reported(owner, 1)
	w.untilState(address, user, waiting)
	path, takesToo := datagrams(t)
	w.startWorker(takesToo)
	other := w.joined(owner)

	w.mail(user, "by its name")
	send(t, path, "249@1")
	receive(t, "push", w.hook.got)
	w.untilState(address, user, waiting)
	w.mail(user, "by its login")
	send(t, path, "anna")
	receive(t, "push", w.hook.got)

	stop() // nobody runs the shard now
	w.mail(user, "while it is nobody's")
	send(t, path, "249@1")
	w.plan(other, 1, 11, all()...)
	if push := receive(t, "push", w.hook.got).body; push.Data.Events[0].Subject != "while it is nobody's" {
		t.Errorf("push %+v", push.Data)
	}
}

// Mail stores are answered while the worker has no cluster, and while it leaves it.
func TestNotificationsAreAnsweredWhateverIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.etcd.Close()
	url, notifies := notified(t)
	_, stop := w.startWorker(notifies)
	if status, text, took := put(t, url, notification("249@1", 7, 7, "x")); status != 200 || text != "remembered" || took > tardy {
		t.Errorf("answered %d %q after %s", status, text, took)
	}
	stop()
}

// Notifications come in another order than the UIDs, twice, without a UID, from many
// sessions at once and faster than they are taken: each mail is pushed once, in order.
func TestNotificationsInAnyOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url, user, subscription, _ := w.waitsForWord()
	validity, first := subscription.GetCursors()[0].GetUidValidity(), subscription.GetCursors()[0].GetUid()+1
	const mails = 64
	for range mails {
		w.mail(user, "mail")
	}
	var sessions sync.WaitGroup
	for session := range uint32(16) {
		sessions.Go(func() {
			for i := range uint32(mails / 16 * 2) { // each mail twice
				uid := first + (session*37+i*29)%mails
				if i%5 == 4 {
					uid = 0
				}
				put(t, url, notification("249@1", validity, uid, "mail"))
			}
		})
	}
	sessions.Wait()
	put(t, url, notification("249@1", validity+1, first, "of another mailbox in its place"))
	put(t, url, notification("249@1", validity, 1, "gone back"))
	for next := first; next < first+mails; {
		data := receive(t, "push", w.hook.got).body.Data
		for _, event := range data.Events {
			if event.UID != next || event.Subject != "mail" {
				t.Fatalf("mail %d %q was pushed, want %d", event.UID, event.Subject, next)
			}
			next++
		}
	}
	w.mail(user, "last")
	put(t, url, notification("249@1", 0, 0, ""))
	if event := receive(t, "push", w.hook.got).body.Data.Events[0]; event.UID != first+mails {
		t.Errorf("after all of them %d was pushed, want %d", event.UID, first+mails)
	}
}

// While a worker drains and leaves, mail stores are answered as before, until nobody
// listens to them any more.
func TestNotificationsAreAnsweredWhileTheWorkerLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url, user, subscription, stop := w.waitsForWord()
	letGo := w.hook.holdAll() // a push in flight keeps the worker from leaving at once
	put(t, url, notification("249@1", subscription.GetCursors()[0].GetUidValidity(), w.mail(user, "held"), "held"))
	receive(t, "push", w.hook.got)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	answered, reset := 0, false
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(notification("250@1", 7, 7, "x")))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("dove", "s3cret")
		request.Close = true
		began := time.Now()
		answer, err := http.DefaultTransport.RoundTrip(request)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		// The kernel had taken the connection when the listener closed, and nobody took it
		// from the kernel: the one after it is refused.
		if errors.Is(err, syscall.ECONNRESET) && !reset {
			reset = true
			continue
		}
		if reset {
			t.Fatalf("after %d answers one connection was reset, and then: %v, %v", answered, answer, err)
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", answered, err)
		}
		_ = answer.Body.Close()
		if took := time.Since(began); answer.StatusCode != http.StatusOK || took > tardy {
			t.Errorf("answered %d after %s", answer.StatusCode, took)
		}
		answered++
		if answered == 50 {
			letGo()
		}
	}
	<-stopped
	if answered < 50 {
		t.Errorf("%d answers while the worker left", answered)
	}
}

// FindUsers implements RegistryServiceHandler.
func (r *fakeRegistry) FindUsers(
	_ context.Context, request *connect.Request[registryv1.FindUsersRequest],
) (*connect.Response[registryv1.FindUsersResponse], error) {
	response := &registryv1.FindUsersResponse{}
	for _, login := range request.Msg.GetLogins() {
		of := &registryv1.LoginUsers{}
		if user := r.logins[login]; user != nil {
			of.Users = append(of.Users, user)
		}
		response.Logins = append(response.Logins, of)
	}
	return connect.NewResponse(response), nil
}
