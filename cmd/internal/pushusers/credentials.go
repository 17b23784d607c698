// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/pflag"

	"mailpush.internal/pkg/secret"
)

const (
	envUser     = "MAILPUSH_ADMIN_USER"
	envPassword = "MAILPUSH_ADMIN_PASSWORD" //nolint:gosec // the name of a variable, not a password
	// Who asks when only a password is given.
	defaultUser = "admin"
	// A password file longer than this is not a password file.
	maxPassword = 4096
)

// credentials are the options that say who asks.
type credentials struct {
	user, passwordFile string
	password           passwordFlag
}

func (c *credentials) register(flags *pflag.FlagSet) {
	flags.StringVarP(&c.user, "adminuser", "A", "", "the administrator's `name` (default "+defaultUser+", where a password is given)")
	flags.VarP(&c.password, "adminpass", "P", "the administrator's `password`; shows in the process list, see above")
	flags.StringVar(&c.passwordFile, "adminpass-file", "", "`file` with the password in its first line; - reads standard input")
}

// login is one administrator; the zero value is a caller without credentials.
type login struct {
	user     string
	password secret.String
}

// resolve puts options before the environment.
func (c *credentials) resolve(stdin io.Reader) (login, error) {
	l := login{user: c.user}
	if l.user == "" {
		l.user = os.Getenv(envUser)
	}
	switch {
	case !c.password.given.IsZero() && c.passwordFile != "":
		return login{}, usagef("--adminpass and --adminpass-file are mutually exclusive")
	case !c.password.given.IsZero():
		l.password = c.password.given
	case c.passwordFile != "":
		var err error
		if l.password, err = readPassword(c.passwordFile, stdin); err != nil {
			return login{}, err
		}
	default:
		l.password = secret.New(os.Getenv(envPassword))
	}
	if l.user == "" && !l.password.IsZero() {
		l.user = defaultUser
	}
	return l, l.check()
}

func (l login) check() error {
	switch {
	case strings.Contains(l.user, ":"): // first: what follows it may be a password
		return usagef("--adminuser must not contain a colon")
	case l.user != "" && l.password.IsZero():
		return usagef("administrator %s needs a password: --adminpass-file or %s", l.user, envPassword)
	}
	return nil
}

func readPassword(file string, stdin io.Reader) (secret.String, error) {
	from := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			// Not its name, in whose place the password may stand.
			if wrong, ok := errors.AsType[*fs.PathError](err); ok {
				err = wrong.Err
			}
			return secret.String{}, usagef("reading --adminpass-file: %v", err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxPassword+1))
	if err != nil {
		return secret.String{}, usagef("reading --adminpass-file: %v", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > maxPassword {
		return secret.String{}, usagef("reading --adminpass-file: its first line is empty or too long")
	}
	return secret.New(line), nil
}

// interceptor puts HTTP Basic credentials (RFC 7617) on each request.
func (l login) interceptor() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if l.user != "" {
				pair := base64.StdEncoding.EncodeToString([]byte(l.user + ":" + l.password.Reveal()))
				request.Header().Set("Authorization", "Basic "+pair)
			}
			return next(ctx, request)
		}
	}
}
