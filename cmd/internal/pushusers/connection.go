// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"crypto/x509"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/pflag"

	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
)

const (
	defaultServer          = "localhost"
	defaultPort            = 8080
	defaultResponseTimeout = 30 * time.Second
	// A page of 10,000 push users with long errors stays well below.
	maxAnswer = 32 << 20
)

// connection is the options that say which server to ask, and as whom.
type connection struct {
	credentials credentials
	endpoint    endpoint
	timeout     seconds
	caFile      string
	insecure    bool
}

func (c *connection) register(flags *pflag.FlagSet) {
	c.credentials.register(flags)
	c.endpoint.register(flags)
	c.timeout = seconds(defaultResponseTimeout)
	flags.Var(&c.timeout, "responsetimeout", "how long to wait for each answer, in seconds or like 500ms; 0 waits forever")
	flags.StringVar(&c.caFile, "cafile", "", "PEM `file` of the CA to trust, instead of the system's")
	flags.BoolVar(&c.insecure, "insecure", false, "let the password cross a network over http://, where everybody on the way can read it")
}

// client speaks to the AdminService of one server.
type client struct {
	admin   adminv1connect.AdminServiceClient
	url     string
	user    string
	timeout time.Duration
}

// who names the administrator in messages.
func (c *client) who() string {
	if c.user == "" {
		return "a caller without a name (--adminuser)"
	}
	return "administrator " + c.user
}

// client resolves the options; it does not connect yet.
func (a *app) client() (*client, error) {
	c := &a.connection
	login, err := c.credentials.resolve(a.stdin)
	if err != nil {
		return nil, err
	}
	base, err := c.endpoint.resolve(c.caFile != "")
	if err != nil {
		return nil, err
	}
	if err := checkClear(base, c.insecure || login.user == ""); err != nil {
		return nil, err
	}
	roots, err := loadRoots(c.caFile)
	if err != nil {
		return nil, err
	}
	admin := adminv1connect.NewAdminServiceClient(httpClient(base, roots), base.String(),
		connect.WithReadMaxBytes(maxAnswer), connect.WithInterceptors(login.interceptor()))
	return &client{admin: admin, url: base.String(), user: login.user, timeout: time.Duration(c.timeout)}, nil
}

func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("reading --cafile: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, usagef("reading --cafile: %s holds no PEM certificate", file)
	}
	return roots, nil
}

// call calls one method with the response timeout, and classifies its error.
func call[Q, A any](
	ctx context.Context, c *client, method func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), question *Q,
) (*A, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	answer, err := method(ctx, connect.NewRequest(question))
	if err != nil {
		return nil, c.classify(err)
	}
	return answer.Msg, nil
}
