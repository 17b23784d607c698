// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// crowd is a server that several tenants' endpoints share. Its paths say what they are.
type crowd struct {
	*httptest.Server

	failed chan string // the paths that were answered 500
	works  chan string // and those that were not
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{failed: make(chan string, 10_000), works: make(chan string, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/works") {
			c.works <- r.URL.Path
			w.WriteHeader(http.StatusNoContent)
			return
		}
		c.failed <- r.URL.Path
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(c.Close)
	return c
}

// One tenant's endpoints at an origin fail, or never consent, for as long as it takes to
// break the origin: another tenant's are served within seconds, and say meanwhile what
// they wait for if they do.
func TestATenantIsServedBesideAnotherOnesBrokenEndpoints(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), newCrowd(t)
	address, _ := w.startWorker()
	id := w.joined()
	var others []*mailv1.User
	for n := range 16 {
		user := &mailv1.User{ContextId: "2", UserId: fmt.Sprint("other", n)}
		if err := w.imap.AddUser(user.GetUserId()+"@2", password); err != nil {
			t.Fatal(err)
		}
		subscription := w.subscription(address, fmt.Sprint("sub_other", n), user)
		subscription.Confirmed = n < 6
		subscription.Target = webhookAt(fmt.Sprintf("%s/%d", server.URL, n))
		w.registry.put(user, "main", subscription)
		others = append(others, user)
	}
	// The same origin in another spelling, which no name server knows.
	dotted := strings.Replace(server.URL, "127.0.0.1", "127.0.0.1.", 1)
	var mine []*mailv1.User
	for n, url := range []string{server.URL, dotted} {
		user := w.user(fmt.Sprint("mine", n))
		subscription := w.subscription(address, fmt.Sprint("sub_mine", n), user)
		subscription.Target = webhookAt(fmt.Sprint(url, "/works/", n))
		w.registry.put(user, "main", subscription)
		mine = append(mine, user)
	}
	w.plan(id, 1, 10, all()...)
	for _, user := range append(others, mine...) {
		untilListening(t, w.admin(address), user, true)
	}
	for _, user := range others {
		if _, err := w.imap.Deliver(user.GetUserId()+"@2", []byte("Subject: never pushed\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	for pushed := 0; pushed < 40; {
		if path := receive(t, "request that fails", server.failed); len(path) == 2 && path < "/6" {
			pushed++
		}
	}
	began := time.Now()
	for n, user := range mine {
		w.mail(user, "pushed")
		if got := receive(t, "push to one that works", server.works); got != fmt.Sprint("/works/", n) {
			t.Errorf("%s was pushed to, want %d", got, n)
		}
	}
	t.Logf("served after %s", time.Since(began))
	response, err := w.admin(address).GetDeliveries(t.Context(), connect.NewRequest(&workerv1.GetDeliveriesRequest{Users: others[6:]}))
	if err != nil {
		t.Fatal(err)
	}
	for _, delivery := range response.Msg.GetDeliveries() {
		if delivery.GetState() != workerv1.DeliveryState_DELIVERY_STATE_UNCONFIRMED {
			t.Errorf("%v has not consented", delivery)
		}
	}
}

// A whole origin is away and comes back with most of its endpoints broken. Until then what
// is there for it waits for it, and says so; then what works is served.
func TestAnOriginThatComesBackServesWhoWorks(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), newCrowd(t)
	address, _ := w.startWorker()
	id := w.joined()
	at, comeBack := deafPort(t)
	url := "http://" + at
	var users []*mailv1.User
	put := func(n int, path string) *registryv1.Subscription {
		user := w.user(fmt.Sprint("user", n))
		subscription := w.subscription(address, fmt.Sprint("sub_", n), user)
		subscription.Target = webhookAt(url + path)
		w.registry.put(user, "main", subscription)
		users = append(users, user)
		return subscription
	}
	for n := range 8 {
		put(n, "/broken")
	}
	put(8, "/works")
	w.plan(id, 1, 10, all()...)
	for _, user := range users {
		untilListening(t, w.admin(address), user, true)
		w.mail(user, "late")
	}
	asked := connect.NewRequest(&workerv1.GetDeliveriesRequest{Users: users[8:]})
	for waits := false; !waits; {
		response, err := w.admin(address).GetDeliveries(t.Context(), asked)
		if err != nil || len(response.Msg.GetDeliveries()) != 1 {
			t.Fatalf("%v: %v", response, err)
		}
		delivery := response.Msg.GetDeliveries()[0]
		waits = delivery.GetState() == workerv1.DeliveryState_DELIVERY_STATE_WAITING_FOR_ORIGIN
		if waits && (delivery.GetNextTry() == nil || !strings.Contains(delivery.GetLastError(), "refused")) {
			t.Errorf("it waits for its origin: %v", delivery)
		}
	}
	back := httptest.NewUnstartedServer(server.Config.Handler)
	_ = back.Listener.Close()
	back.Listener = comeBack()
	back.Start()
	t.Cleanup(back.Close)
	receive(t, "push to one that works", server.works)
}

// deafPort takes a port at which connections are refused until somebody comes back to it.
func deafPort(t *testing.T) (address string, comeBack func() net.Listener) {
	t.Helper()
	check := func(err error) {
		if t.Helper(); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	check(err)
	file := os.NewFile(uintptr(fd), "deaf port")
	t.Cleanup(func() { _ = file.Close() })
	check(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(fd)
	check(err)
	in4, _ := bound.(*syscall.SockaddrInet4)
	return fmt.Sprint("127.0.0.1:", in4.Port), func() net.Listener {
		check(syscall.Listen(fd, 128))
		listener, err := net.FileListener(file)
		check(err)
		return listener
	}
}
