// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mailpush.internal/pkg/fault"
)

// dial makes a connection. Renewals have one of their own, so that nothing large is
// ever in front of them.
func (c *Client) dial(ctx context.Context) (*clientv3.Client, error) {
	config := c.dialConfig(ctx)
	etcd, err := clientv3.New(config)
	if !errors.Is(err, context.DeadlineExceeded) {
		return etcd, err
	}
	// It waited in vain to log in. Without a user there is a connection to ask.
	config.Username, config.Password = "", ""
	nobody, failed := clientv3.New(config)
	if failed != nil {
		return nil, err
	}
	defer nobody.Close()
	return nil, c.why(nobody, err)
}

func (c *Client) dialConfig(ctx context.Context) clientv3.Config {
	return clientv3.Config{
		Endpoints:            c.config.Endpoints,
		TLS:                  c.config.TLS,
		Username:             c.config.Username,
		Password:             c.config.Password.Reveal(),
		Context:              context.WithoutCancel(ctx),
		DialTimeout:          openTimeout,
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
		// Errors are returned to us and logged by whoever handles them.
		Logger: zap.NewNop(),
		// A call waits for a connection as long as its context allows, and its error
		// then says why there was none.
		DialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
			// An etcd that comes back gives each lease one more TTL. The usual pauses
			// between two attempts to connect grow far beyond that.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: redialMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMax},
				MinConnectTimeout: pingTimeout,
			}),
		},
	}
}

// why asks a connection what is wrong with it: a call that waited for it in vain only
// knows that it did.
func (c *Client) why(etcd *clientv3.Client, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	if c.config.TLS == nil {
		for _, endpoint := range c.config.Endpoints {
			if speaksTLS(ctx, endpoint) {
				return errors.New(endpoint + " speaks TLS, and clear text is configured")
			}
		}
	}
	_, refusal := pb.NewKVClient(etcd.ActiveConnection()).
		Range(ctx, &pb.RangeRequest{Key: []byte(c.keys.config())}, grpc.WaitForReady(false))
	if status.Code(refusal) == codes.Unavailable {
		return errors.New(status.Convert(refusal).Message())
	}
	return err
}

// speaksTLS tells whether an endpoint answers a TLS handshake, whoever it is.
func speaksTLS(ctx context.Context, endpoint string) bool {
	address := endpoint
	if u, err := url.Parse(endpoint); err == nil && u.Host != "" {
		if u.Scheme == "https" {
			return false // then that is what is configured
		}
		address = u.Host
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	//nolint:gosec // nothing is sent, and nothing believed
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}).HandshakeContext(ctx) == nil
}

// unreachable says which etcd did not serve us.
func (c *Client) unreachable(err error) error {
	endpoints := strings.Join(c.config.Endpoints, ", ")
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return fault.Wrap(fault.Unavailable, err,
			"etcd at %s takes no writes: it is full (alarm NOSPACE); compact and defragment it or raise its quota, then disarm the alarm", endpoints)
	}
	return fault.Wrap(fault.Unavailable, err, "reaching etcd at %s: %v", endpoints, err)
}
