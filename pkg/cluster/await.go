// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mailpush.internal/pkg/fault"
)

// awaitPause is the wait between two tries to open a cluster.
const awaitPause = time.Second

// Await opens a cluster as often as it takes: an etcd that is away comes back, and
// what another cluster or somebody else has left at its keys can be put right, while a
// process that ends is started again to the same end. The same reason why it has to wait
// is logged once. Only a configuration that is wrong by itself is an error, and an etcd
// that is too old; nil without one means that ctx has ended.
func Await(ctx context.Context, config Config, log *slog.Logger) (client *Client, err error) {
	err = persist(ctx, log, func() (err error) {
		client, err = Open(ctx, config, log)
		return err
	})
	return client, err
}

// AwaitBelonging is Belong as often as it takes, or until ctx ends.
func (c *Client) AwaitBelonging(ctx context.Context, installation string) error {
	return persist(ctx, c.log, func() error { return c.Belong(ctx, installation) })
}

// persist tries until it succeeds or ctx ends, which is no error.
func persist(ctx context.Context, log *slog.Logger, try func() error) error {
	said := make(map[string]bool)
	for {
		err := try()
		switch {
		case err == nil || ctx.Err() != nil:
			return nil //nolint:nilerr // stopped before it began, which is no error
		case fault.KindOf(err) == fault.Invalid:
			return fmt.Errorf("joining the cluster: %w", err)
		}
		reason := err.Error()
		if fault.KindOf(err) == fault.Unavailable {
			reason = "" // whose words differ from try to try, and say the same
		}
		if !said[reason] {
			log.Log(ctx, gravity(err), "cluster cannot be joined yet", "error", err)
		}
		said[reason] = true
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
	}
}

// gravity tells what passes by itself from what somebody has to look after.
func gravity(err error) slog.Level {
	if fault.KindOf(err) == fault.Unavailable {
		return slog.LevelWarn
	}
	return slog.LevelError
}
