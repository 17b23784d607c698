// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"mailpush.internal/pkg/fault"
)

func TestOutdated(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"3.5.21": true, "3.6.0": true, "3.6.15": true, "3.6.16": false, "3.6.20": false, "3.7.0": true, "3.7.2": true, "3.7.3": false,
		"3.8.0": false, "4.0.0": false, "2.3.8": true, "3.7.0-rc.1": true, "": true, "new": true,
	} {
		if got := outdated(version); got != want {
			t.Errorf("outdated(%q) = %v", version, got)
		}
	}
}

// fakeEtcd has a version, keeps nothing, and lets everybody make a cluster.
type fakeEtcd struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer

	version string
	writes  atomic.Int32
}

func (*fakeEtcd) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: &pb.ResponseHeader{}}, nil
}

func (e *fakeEtcd) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	e.writes.Add(1)
	return &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: true}, nil
}

func (e *fakeEtcd) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{}, Version: e.version}, nil
}

// startFake serves an etcd of a version; none is an endpoint where nobody listens.
func startFake(t *testing.T, version string) (endpoint string, etcd *fakeEtcd) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	etcd = &fakeEtcd{version: version}
	if version == "" {
		_ = l.Close()
		return l.Addr().String(), etcd
	}
	server := grpc.NewServer()
	pb.RegisterKVServer(server, etcd)
	pb.RegisterMaintenanceServer(server, etcd)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return l.Addr().String(), etcd
}

// An etcd that is too old is refused before anything is written to it, with an error that
// names what was found and what is needed; it is not waited for.
func TestOldEtcdIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		versions []string
		refused  string
	}{
		"Debian 12's":             {[]string{"3.4.23"}, "3.4.23"},
		"one of two":              {[]string{"3.7.3", "3.6.15"}, "3.6.15"},
		"the only one that is up": {[]string{"", "3.5.21"}, "3.5.21"},
		"new enough":              {[]string{"3.7.3"}, ""},
		"new enough, one away":    {[]string{"", "3.6.16"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var config Config
			var writes []*atomic.Int32
			for _, version := range c.versions {
				endpoint, etcd := startFake(t, version)
				config.Endpoints, writes = append(config.Endpoints, endpoint), append(writes, &etcd.writes)
			}
			client, err := Await(t.Context(), config, slog.New(slog.DiscardHandler))
			if c.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{`version "` + c.refused + `"`, "3.6.16 or newer", "3.7.3 or newer"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %s", err, want)
				}
			}
			for _, n := range writes {
				if n.Load() > 0 {
					t.Error("it was written to")
				}
			}
		})
	}
}

func TestVersionOfAnEndpoint(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"3.7.3": "", "3.4.23": "mailpush needs", "": "refused"} {
		endpoint, _ := startFake(t, version)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		got, err := Version(ctx, Config{}, endpoint)
		cancel()
		if want == "" && (err != nil || got != version) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %q: %q, %v", version, got, err)
		}
	}
}
