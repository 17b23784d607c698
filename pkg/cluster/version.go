// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coreos/go-semver/semver"

	"mailpush.internal/pkg/fault"
)

// The oldest etcd of each of its branches that keeps what the protocol rests on: before,
// a lease that was revoked could be renewed, and a member that was no leader any more
// could revoke one.
const (
	minVersion36 = "3.6.16"
	minVersion37 = "3.7.3"
)

// member is what an endpoint has answered.
type member struct {
	endpoint, version string
	err               error
}

// checkVersions refuses an etcd of which a member is too old. When one has answered, the
// others have a second more: one that is away is no reason to wait for it.
func (c *Client) checkVersions(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan member, len(c.config.Endpoints))
	for _, endpoint := range c.config.Endpoints {
		go func() { answers <- c.ask(ctx, endpoint) }()
	}
	late := time.NewTimer(openTimeout)
	defer late.Stop()
	answered := false
	var errs []error
	for range c.config.Endpoints {
		select {
		case <-late.C:
			if !answered {
				return c.unreachable(context.DeadlineExceeded)
			}
			return nil
		case m := <-answers:
			switch {
			case m.err != nil:
				errs = append(errs, m.err)
			case outdated(m.version):
				return tooOld(m)
			case !answered:
				answered = true
				late.Reset(pingTimeout)
			}
		}
	}
	if !answered {
		return c.unreachable(errors.Join(errs...))
	}
	return nil
}

func (c *Client) ask(ctx context.Context, endpoint string) member {
	answer, err := c.etcd.Status(ctx, endpoint)
	if err != nil {
		return member{endpoint: endpoint, err: err}
	}
	return member{endpoint: endpoint, version: answer.Version}
}

// tooOld is Invalid: it does not pass by itself, and nothing may be done with it until it
// is another.
func tooOld(m member) error {
	return fault.New(fault.Invalid, "etcd at %s is version %q, and mailpush needs %s or newer of 3.6, or %s or newer: older ones lose leases",
		m.endpoint, m.version, minVersion36, minVersion37)
}

// Version asks one endpoint for etcd's version, and refuses what [Open] would. It joins
// and makes nothing.
func Version(ctx context.Context, config Config, endpoint string) (string, error) {
	c := &Client{config: config, log: slog.New(slog.DiscardHandler)}
	c.config.Endpoints = []string{endpoint}
	etcd, err := c.dial(ctx)
	if err != nil {
		return "", c.unreachable(err)
	}
	defer etcd.Close()
	c.etcd = etcd
	switch m := c.ask(ctx, endpoint); {
	case m.err != nil:
		return "", c.unreachable(c.why(etcd, m.err))
	case outdated(m.version):
		return "", tooOld(m)
	default:
		return m.version, nil
	}
}

// outdated tells whether a version of etcd is older than it should be. One that
// cannot be read is.
func outdated(version string) bool {
	got, err := semver.NewVersion(version)
	if err != nil {
		return true
	}
	if got.Major == 3 && got.Minor < 7 {
		return got.LessThan(*semver.New(minVersion36))
	}
	return got.LessThan(*semver.New(minVersion37))
}
