// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"mailpush.internal/pkg/cluster/embedded"
)

// etcdRole as first argument makes a copy of this program one member of etcd. All other
// processes are mailpush's own programs.
const etcdRole = "faults-etcd"

// Role runs this process as the child it was started as. played is false when it is
// none.
func Role(args []string, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 || args[1] != etcdRole {
		return 0, false
	}
	return runEtcd(args[2:], stderr), true
}

// runEtcd runs one member until it is told to end.
func runEtcd(args []string, stderr io.Writer) int {
	if len(args) != 5 {
		fmt.Fprintln(stderr, "usage:", etcdRole, "DIR CLIENT-URL NAME PEER-URL MEMBERS")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := embedded.Start(ctx, embedded.Config{
		Dir: args[0], ClientListen: args[1], Place: &embedded.Place{Name: args[2], PeerURL: args[3], Members: args[4]},
		Log: slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(stderr, etcdRole+":", err)
		return 1
	}
	<-ctx.Done()
	server.Close()
	return 0
}

// record is what is looked for in a worker's log.
type record struct {
	Message string    `json:"msg"`
	Time    time.Time `json:"time"`
	Worker  string    `json:"worker"`
	Shards  []uint32  `json:"shards"`
	Epochs  []uint64  `json:"epochs"`
	At      time.Time `json:"at"`
}

// listen enters a line of a worker's log into the history. It returns the worker's id
// when the line tells it.
func (h *History) listen(line []byte) (id string) {
	var r record
	if json.Unmarshal(line, &r) != nil {
		return ""
	}
	switch r.Message {
	case "worker joined":
		return r.Worker
	case "hold began":
		for i, shard := range r.Shards {
			h.Began(Hold{Worker: r.Worker, Shard: shard, Epoch: r.Epochs[i], Began: r.At})
		}
	case "hold ended":
		for i, shard := range r.Shards {
			h.Ended(r.Worker, shard, r.Epochs[i], r.At, r.Time)
		}
	}
	return ""
}

// claimRecord is what is looked for in the log of admin-api.
type claimRecord struct {
	Message  string    `json:"msg"`
	Time     time.Time `json:"time"`
	Did      string    `json:"did"`
	Shard    uint32    `json:"shard"`
	Epoch    uint64    `json:"epoch"`
	Accepted bool      `json:"accepted"`
	Known    bool      `json:"known"`
	Began    time.Time `json:"began"`
}

// listenRegistry enters what a line of admin-api's log says of a claim into the history.
func (h *History) listenRegistry(line []byte) {
	var r claimRecord
	if json.Unmarshal(line, &r) != nil || r.Message != "claim was judged" {
		return
	}
	h.Judged(Claim{
		Open: r.Did == "open", Shard: r.Shard, Epoch: r.Epoch, Accepted: r.Accepted, Known: r.Known,
		Call: r.Began, End: r.Time, // it is logged before it is answered
	})
}
