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

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire/schedulerwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/identity"
)

// The roles a copy of this program is started in, as its first argument.
const (
	etcdRole      = "faults-etcd"
	workerRole    = "faults-worker"
	schedulerRole = "faults-scheduler"
)

// Role runs this process as the child it was started as. played is false when it is
// none.
func Role(args []string, stdout, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 {
		return 0, false
	}
	switch args[1] {
	case etcdRole:
		return runEtcd(args[2:], stderr), true
	case workerRole:
		return program.Main(identity.Worker, workerwire.Build, "faults", args[2:], stdout, stderr), true
	case schedulerRole:
		return program.Main(identity.Scheduler, schedulerwire.Build, "faults", args[2:], stdout, stderr), true
	default:
		return 0, false
	}
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

// registryLog enters what the registry says of claims into the history.
type registryLog struct{ history *History }

// Enabled implements [slog.Handler].
func (registryLog) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements [slog.Handler].
func (l registryLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements [slog.Handler].
func (l registryLog) WithGroup(string) slog.Handler { return l }

// Handle implements [slog.Handler].
func (l registryLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "claim was judged" {
		return nil
	}
	claim := Claim{End: time.Now()}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "did":
			claim.Open = a.Value.String() == "open"
		case "shard":
			claim.Shard = uint32(a.Value.Uint64())
		case "epoch":
			claim.Epoch = a.Value.Uint64()
		case "accepted":
			claim.Accepted = a.Value.Bool()
		case "known":
			claim.Known = a.Value.Bool()
		case "began":
			claim.Call = a.Value.Time()
		}
		return true
	})
	l.history.Judged(claim)
	return nil
}
