// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
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
}

func (*fakeEtcd) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{Header: &pb.ResponseHeader{}}, nil
}

func (*fakeEtcd) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: true}, nil
}

func (e *fakeEtcd) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{}, Version: e.version}, nil
}

func TestOldEtcdIsTakenWithAWarning(t *testing.T) {
	t.Parallel()
	for version, warns := range map[string]bool{"3.5.21": true, "3.7.3": false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		etcd, server := &fakeEtcd{version: version}, grpc.NewServer()
		pb.RegisterKVServer(server, etcd)
		pb.RegisterMaintenanceServer(server, etcd)
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(l)
		}()
		var log bytes.Buffer
		client, err := Open(t.Context(), Config{Endpoints: []string{l.Addr().String()}}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		client.checks.Wait()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		<-served
		warned := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "endpoint="+l.Addr().String()+" version="+version)
		if warned != warns {
			t.Errorf("etcd %s: %s", version, log.String())
		}
	}
}
