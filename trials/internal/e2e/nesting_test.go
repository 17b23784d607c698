// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
	"mailpush.internal/pkg/pushtest"
	"mailpush.internal/trials/internal/rig"
)

// deep is 10 million opening parentheses: a reader that calls itself for each runs out of
// stack, which ends its process.
const deep = "{times:10000000:(}"

// place is where a mail store can send them: in its answer to a command.
type place struct {
	name, command, text, honest string

	// nth is which of the answers the listener gets first. Where Subscribe looks, too, it
	// gets the first, and fails, and the second, and succeeds.
	nth int
}

// places are all there are. The mail to come has the UID 10.
func places() []place {
	const honest = "{data}{ok}"
	return []place{
		{"greeting", "GREETING", "* OK [CAPABILITY " + deep + "\r\n", "* OK [CAPABILITY {caps}] ready\r\n", 3},
		{"capabilities", "CAPABILITY", "* CAPABILITY " + deep + "\r\n" + honest, honest, 3},
		{"login", "AUTHENTICATE", "{tag} OK [CAPABILITY " + deep + "\r\n", honest, 3},
		{"flags", "EXAMINE", "* FLAGS " + deep + "\r\n" + honest, honest, 3},
		{"status", "STATUS", "* STATUS INBOX " + deep + "\r\n" + honest, honest, 3},
		{"idle", "IDLE", "+ idling\r\n* 2 FETCH (BODYSTRUCTURE " + deep + "\r\n", "+ idling\r\n", 1},
		{"fetch", "UID FETCH", "* 4 FETCH (UID 10 BODYSTRUCTURE " + deep + "\r\n" + honest, honest, 1},
		{"tagged", "UID FETCH", "{data}{tag} OK [X " + deep + "] done\r\n", honest, 1},
	}
}

// answers are what the mail store says there: hostile the first and the third time.
func (p place) answers() map[string][]string {
	return map[string][]string{p.command: {p.text, p.honest, p.text, p.honest}}
}

// neighbours are the mailboxes of one worker, one at an honest mail store.
type neighbours struct {
	mailpush *rig.Mailpush
	worker   *proctest.Process
	sink     *pushtest.Receiver
	honest   *imaptest.OddServer
}

const honestBox = "honest"

// One worker process meets them at every place, each at a mail store of its own, and lives.
// An honest mailbox beside them does not notice.
func TestNestedParenthesesEndNoWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("needs several processes: run make test") //nolint:forbidigo // only with -short
	}
	honest, hostile, stores := startOdd(t, imaptest.Odd{}), make(map[string]*imaptest.OddServer), make(map[string]rig.Store)
	for _, p := range places() {
		hostile[p.name] = startOdd(t, imaptest.Odd{On: p.answers()})
		stores[p.name] = rig.Store{Address: hostile[p.name].Addr()}
	}
	n := &neighbours{sink: pushtest.Start(t), honest: honest}
	n.mailpush = withoutWorkers(t, rig.Options{Store: rig.Store{Address: honest.Addr()}, Others: stores})
	n.worker = startWorker(t, n.mailpush, "worker")
	subscribe(t, n.mailpush, honestBox, n.sink)
	connections := honest.Accepted()
	for _, p := range places() {
		n.meet(t, p, hostile[p.name])
	}
	if now := honest.Accepted(); now != connections {
		t.Errorf("the honest mailbox was connected to again: %d connections, before %d", now, connections)
	}
	stop(t, n.worker) // it must still live
}

// meet listens to a hostile mail store, while mail comes to the honest one, until its
// own mail is pushed as well.
func (n *neighbours) meet(t *testing.T, p place, store *imaptest.OddServer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	// Subscribe fails while the mail store is hostile.
	if err := n.worker.Await(ctx, "a subscription at "+p.name, func(ctx context.Context) error {
		return n.mailpush.SubscribeAt(ctx, p.name, p.name, n.sink.URL())
	}); err != nil {
		t.Fatal(err)
	}
	store.Arrive(imaptest.OddMail{Subject: p.name})
	if err := store.Await(ctx, p.command, p.nth); err != nil {
		t.Fatal(err)
	}
	subject := "beside " + p.name
	n.honest.Arrive(imaptest.OddMail{Subject: subject})
	awaitPush(t, n.sink, honestBox, subject, pushTimeout)
	awaitPush(t, n.sink, p.name, p.name, pushTimeout)
}
