// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"connectrpc.com/connect"
)

// The exit codes. Scripts rely on them; the help documents them.
const (
	exitOK             = 0
	exitUsage          = 1
	exitNotFound       = 2
	exitAuthentication = 3
	exitUnreachable    = 4
	exitServer         = 5
)

// failure ends the command with a code and, where there is one, a message.
type failure struct {
	code    int
	message string
}

// Error implements error with the message.
func (f *failure) Error() string { return f.message }

func failf(code int, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

func usagef(format string, args ...any) *failure { return failf(exitUsage, format, args...) }

// classify turns the error of a call to the server into how the command ends. What
// the server said is told apart from what happened on the way to it: its own
// "unavailable" is a server error, that of the connection is an unreachable server.
func (c *client) classify(err error) *failure {
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed // on the way, by ourselves
	}
	said, _ := errors.AsType[*connect.Error](err)
	switch code := connect.CodeOf(err); {
	case errors.Is(err, context.DeadlineExceeded), c.timeout > 0 && code == connect.CodeDeadlineExceeded:
		// Either side may notice first: the server is told of the timeout.
		return failf(exitUnreachable, "no answer from %s within %s (--responsetimeout)", c.url, c.timeout)
	case code == connect.CodeUnauthenticated, code == connect.CodePermissionDenied, challenged(said):
		return failf(exitAuthentication, "%s refused %s: %s", c.url, c.who(), said.Message())
	case connect.IsWireError(err):
		return fromServer(c.url, said)
	}
	return c.fromTransport(err)
}

// challenged tells whether a refusal asks for other credentials, whatever its code: so
// does resource_exhausted after too many wrong ones.
func challenged(said *connect.Error) bool {
	return said != nil && said.Meta().Get("WWW-Authenticate") != ""
}

func fromServer(serverURL string, said *connect.Error) *failure {
	switch said.Code() {
	case connect.CodeNotFound:
		return failf(exitNotFound, "%s", said.Message())
	case connect.CodeInvalidArgument:
		return usagef("%s", said.Message())
	default:
		return failf(exitServer, "%s answered %s: %s%s", serverURL, said.Code(), said.Message(), requestOf(said))
	}
}

// requestOf is by what the call is found in the server's logs.
func requestOf(said *connect.Error) string {
	if id := said.Meta().Get("X-Request-Id"); id != "" {
		return " (request " + id + ")"
	}
	return ""
}

// fromTransport says why there was no answer, or none that AdminService would give.
func (c *client) fromTransport(err error) *failure {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return failf(exitUnreachable, "connecting to %s: its certificate is not trusted; --cafile names the CA to trust: %v", c.url, root(err))
	}
	if _, onTheWay := errors.AsType[*url.Error](err); onTheWay || connect.CodeOf(err) == connect.CodeUnavailable {
		return failf(exitUnreachable, "connecting to %s: %v", c.url, root(err))
	}
	return failf(exitServer, "%s does not answer like a mailpush admin-api: %v", c.url, err)
}

// root strips the RPC code and the request line, which say nothing about a connection.
func root(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	if failed, ok := errors.AsType[*connect.Error](err); ok {
		return failed.Unwrap()
	}
	return err
}
