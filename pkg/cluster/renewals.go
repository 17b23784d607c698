// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// renewals is the stream a lease is renewed on: one request at a time, each with its
// answer. The client's own KeepAliveOnce opens a stream for each renewal, which with
// authentication costs the server a password check, repeats the request within a
// call, and spins while nobody answers.
type renewals struct {
	lease  *lease
	stream grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]
	cancel context.CancelFunc
}

// renew sends one renewal and waits for its acknowledgement. After any error the
// stream is given up, so that no answer ever meets the wrong request.
func (r *renewals) renew(ctx context.Context, timeout time.Duration) error {
	err := r.open(ctx)
	if err == nil {
		err = r.exchange(ctx, timeout)
	}
	if err != nil {
		r.hangUp()
		return rpctypes.Error(err)
	}
	return nil
}

// open opens the stream if there is none. Nothing is sent yet, so it may take longer
// than a renewal, and does where etcd checks passwords.
func (r *renewals) open(ctx context.Context) error {
	if r.stream != nil {
		return nil
	}
	ctx, r.cancel = context.WithCancel(ctx)
	overdue := time.AfterFunc(r.lease.ttl/2, r.cancel)
	defer overdue.Stop()
	stream, err := pb.NewLeaseClient(r.lease.conn.ActiveConnection()).LeaseKeepAlive(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	r.stream = stream
	return nil
}

func (r *renewals) exchange(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	overdue := time.AfterFunc(timeout, r.cancel)
	defer overdue.Stop()
	sent := bootTime()
	if err := r.stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(r.lease.id)}); err != nil {
		return err
	}
	response, err := r.stream.Recv()
	if err != nil {
		return err
	}
	if response.GetTTL() <= 0 {
		return rpctypes.ErrLeaseNotFound
	}
	return r.lease.renewed(ctx, sent, time.Duration(response.GetTTL())*time.Second)
}

// hangUp gives up the stream.
func (r *renewals) hangUp() {
	if r.cancel != nil {
		r.cancel()
	}
	r.stream, r.cancel = nil, nil
}
