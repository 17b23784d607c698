// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

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

// greeting is how long a server may take to say that it does not want us.
const greeting = 300 * time.Millisecond

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

// why finds out what is wrong with a connection: a call that waited for it in vain only
// knows that it did.
func (c *Client) why(etcd *clientv3.Client, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	for _, endpoint := range c.config.Endpoints {
		if err := c.greet(ctx, endpoint); err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
	}
	_, refusal := pb.NewKVClient(etcd.ActiveConnection()).
		Range(ctx, &pb.RangeRequest{Key: []byte(c.keys.config())}, grpc.WaitForReady(false))
	if status.Code(refusal) == codes.Unavailable {
		return errors.New(status.Convert(refusal).Message())
	}
	return err
}

// greet looks for what is wrong with an endpoint's TLS, by hand: of a certificate that
// was refused, gRPC often learns no more than that the connection has ended.
func (c *Client) greet(ctx context.Context, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil // a bare address or a socket, neither of which has TLS
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil // that is no matter of TLS
	}
	defer conn.Close()
	if c.config.TLS == nil {
		//nolint:gosec // nothing is sent, and nothing believed
		if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil && u.Scheme == "http" {
			return errors.New("it speaks TLS, and clear text is configured")
		}
		return nil
	}
	config := c.config.TLS.Clone()
	config.ServerName = cmp.Or(config.ServerName, u.Hostname())
	config.NextProtos = []string{"h2"}
	secure := tls.Client(conn, config)
	err = secure.HandshakeContext(ctx)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain || errors.Is(err, io.EOF) {
		return fmt.Errorf("it ends the TLS handshake, as one that speaks clear text does: %w", err)
	}
	if err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	// What the server thinks of us comes after its handshake.
	_ = secure.SetReadDeadline(time.Now().Add(greeting))
	if _, err := secure.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it refuses this client: %w", err)
	}
	return nil
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
