// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/dovecottest"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	// holdAllowed is how long a mail store may be held up. It is 300 ms (LMTP's share
	// included) on a machine that has time; this one may be doing something else.
	holdAllowed = 2 * time.Second
	notifyPath  = "/preliminary/http-notify/v1/notify"
)

// notifyTrial is a Dovecot that tells one of three workers of new mail, and mail that
// comes all the while.
type notifyTrial struct {
	t        *testing.T
	dovecot  *dovecottest.Server
	mailpush *rig.Mailpush
	sink     *pushtest.Receiver
	workers  []*proctest.Process
	boxes    int

	addresses []string // of the workers

	sent  int             // mails, each with its number as subject, round the boxes
	holds []time.Duration // how long LMTP took for each
}

func newNotifyTrial(t *testing.T, boxes int) *notifyTrial {
	t.Helper()
	addresses, err := proctest.FreeAddresses(t.Context(), "127.0.0.3", 6)
	if err != nil {
		t.Fatal(err)
	}
	n := &notifyTrial{t: t, boxes: boxes, sink: pushtest.Start(t)}
	n.dovecot = dovecottest.StartWith(t, dovecottest.Options{NotifyURL: "http://dove:s3cret@" + addresses[0] + notifyPath})
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(n.dovecot.DoveadmKey().Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	n.mailpush = withoutWorkers(t, rig.Options{
		Store: rig.Store{Address: n.dovecot.Addr()},
		Set: []string{
			"mail.stores={bench: {address: '" + n.dovecot.Addr() + "', tls: none, backend: dovecot, doveadm: {url: '" + n.dovecot.DoveadmURL() + "', apiKeyFile: '" + key + "'}}}",
			"worker.backends=[dovecot]", "worker.notify.username=dove", "worker.notify.password=s3cret",
		},
	})
	n.addresses = addresses[3:]
	for i, address := range n.addresses {
		name := fmt.Sprintf("worker-%d", i)
		worker, err := proctest.Start(n.mailpush.Command(identity.Worker, name,
			"worker.opsListen=127.0.0.1:0", "worker.listen="+address, "worker.notify.listen="+addresses[i]))
		if err != nil {
			t.Fatal(err)
		}
		n.workers = append(n.workers, worker)
		t.Cleanup(func() {
			worker.Kill()
			if t.Failed() {
				t.Logf("log of %s:\n%s", name, worker.Log())
			}
		})
	}
	for box := range boxes {
		if err := n.dovecot.AddUser(rig.Box(box), rig.Password); err != nil {
			t.Fatal(err)
		}
		await(t, "a subscription", startTimeout, func(ctx context.Context) error {
			return n.mailpush.Subscribe(ctx, rig.Box(box), n.sink.URL())
		})
	}
	return n
}

// awaitWaiting waits until all listeners wait for notifications, and returns which of the
// workers that are not notified has most of them.
func (n *notifyTrial) awaitWaiting() (busiest int) {
	n.t.Helper()
	await(n.t, "listeners", startTimeout, func(ctx context.Context) error {
		page, err := n.mailpush.Admin.ListPushUsers(ctx, connect.NewRequest(&adminv1.ListPushUsersRequest{PageSize: 1000}))
		if err != nil {
			return err
		}
		waiting := 0
		for _, user := range page.Msg.GetPushUsers() {
			if user.GetState() == mailv1.ListenerState_LISTENER_STATE_WAITING {
				waiting++
			}
		}
		workers, err := n.mailpush.Admin.ListWorkers(ctx, connect.NewRequest(&adminv1.ListWorkersRequest{}))
		if err != nil {
			return err
		}
		busiest = 1
		most := uint32(0)
		for _, worker := range workers.Msg.GetWorkers() {
			at := slices.Index(n.addresses, worker.GetAddress())
			if at > 0 && worker.GetListeners() > most {
				busiest, most = at, worker.GetListeners()
			}
		}
		if waiting != n.boxes {
			return fmt.Errorf("%d of %d wait", waiting, n.boxes)
		}
		return nil
	})
	return busiest
}

// deliver delivers mails for a while, one after another.
func (n *notifyTrial) deliver(phase string, lasts time.Duration) {
	n.t.Helper()
	first := len(n.holds)
	for began := time.Now(); time.Since(began) < lasts; {
		mail := fmt.Appendf(nil, "From: Zoe <zoe@example.org>\r\nSubject: %06d\r\n\r\nHello.\r\n", n.sent)
		start := time.Now()
		if err := n.dovecot.Deliver(rig.Box(n.sent%n.boxes), mail); err != nil {
			n.t.Fatal(err)
		}
		n.holds = append(n.holds, time.Since(start))
		n.sent++
		<-time.After(20 * time.Millisecond) // a steady stream
	}
	most := time.Duration(0)
	for _, hold := range n.holds[first:] {
		most = max(most, hold)
	}
	n.t.Logf("%s: %d mails, LMTP took %s at most", phase, len(n.holds)-first, most)
}

// expectAll expects every mail to be pushed, those of a box in order but for what was
// tried again.
func (n *notifyTrial) expectAll() {
	n.t.Helper()
	await(n.t, "all pushes", startTimeout, func(context.Context) error {
		got := make(map[string]bool)
		for _, push := range n.sink.All(pushtest.OfType("mail:new")) {
			for _, event := range push.Data.Events {
				got[event.Subject] = true
			}
		}
		if len(got) != n.sent {
			return fmt.Errorf("%d of %d mails were pushed", len(got), n.sent)
		}
		return nil
	})
	last := make(map[string]string)
	seen := make(map[string]bool)
	for _, push := range n.sink.All(pushtest.OfType("mail:new")) {
		for _, event := range push.Data.Events {
			if !seen[event.ID] && event.Subject < last[push.Data.UserID] {
				n.t.Errorf("%s was pushed %s after %s", push.Data.UserID, event.Subject, last[push.Data.UserID])
			}
			seen[event.ID] = true
			last[push.Data.UserID] = max(last[push.Data.UserID], event.Subject)
		}
	}
}

func (n *notifyTrial) signal(signal syscall.Signal, workers ...int) {
	n.t.Helper()
	for _, worker := range workers {
		if err := syscall.Kill(n.workers[worker].Pid(), signal); err != nil {
			n.t.Fatal(err)
		}
	}
}

// Whatever happens to the workers, no mail is lost and no mail store is held up: while
// one hangs, while one dies, while one after another and while all are restarted.
func TestNotificationsReachTheirOwnersWhateverHappensToThem(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Dovecot and six processes") //nolint:forbidigo // only with -short
	}
	n := newNotifyTrial(t, 24)
	owner := n.awaitWaiting()
	n.deliver("all is well", 2*time.Second)
	n.signal(syscall.SIGSTOP, owner)
	n.deliver("an owner hangs", 10*time.Second)
	n.signal(syscall.SIGCONT, owner)
	n.deliver("an owner goes on", 2*time.Second)
	killed := n.awaitWaiting()
	n.workers[killed].Kill()
	n.deliver("an owner was killed", 8*time.Second)
	left := 3 - killed
	n.awaitWaiting()
	n.signal(syscall.SIGUSR2, 0)
	n.deliver("the notified one is restarted", 4*time.Second)
	n.awaitWaiting()
	n.signal(syscall.SIGUSR2, left)
	n.deliver("the other is restarted", 4*time.Second)
	n.signal(syscall.SIGUSR2, 0, left)
	n.deliver("all are restarted", 6*time.Second)
	n.expectAll()

	most := time.Duration(0)
	for _, hold := range n.holds {
		most = max(most, hold)
	}
	t.Logf("result: lmtp_hold_ms_max=%d", most.Milliseconds())
	if most > holdAllowed {
		t.Errorf("a mail was held up for %s", most)
	}
}
