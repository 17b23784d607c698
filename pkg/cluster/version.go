// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync"

	"github.com/coreos/go-semver/semver"
)

// The oldest etcd that this protocol was tested with, on each of its branches.
const (
	minVersion36 = "3.6.16"
	minVersion37 = "3.7.3"
)

// warnOfVersions logs which members are older than what the protocol was tested with.
// It works with them as far as anybody knows, so that is no reason to stop. A member
// that does not answer is passed over.
func (c *Client) warnOfVersions(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for _, endpoint := range c.config.Endpoints {
		asked.Go(func() {
			answer, err := c.etcd.Status(ctx, endpoint)
			if err != nil || !outdated(answer.Version) {
				return
			}
			c.log.WarnContext(ctx, "etcd is older than what mailpush was tested with",
				"endpoint", endpoint, "version", answer.Version, "want", minVersion36+" or "+minVersion37)
		})
	}
	asked.Wait()
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
