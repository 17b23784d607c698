// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package crowd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"mailpush.internal/trials/internal/crowd"
	"mailpush.internal/trials/internal/rig"
)

func TestMain(m *testing.M) {
	if code, played := rig.Role(os.Args, os.Stdout, os.Stderr); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// What bench and soak-parked do with thousands of listeners, with a few.
func TestCrowdWorksAndOutlivesItsWorker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all programs: left out with -short") //nolint:forbidigo // only -short leaves it out
	}
	programs, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := crowd.New(t.Context(), crowd.Options{Programs: programs, Out: t.Output(), Refresh: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	const listeners, restless = 8, 3
	if err := c.Subscribe(t.Context(), listeners); err != nil {
		t.Fatal(err)
	}
	if err := c.Double.Deliver(rig.Mailing{Boxes: listeners}); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitPushes(t.Context(), listeners); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Goroutines(t.Context()); n < 1 || err != nil {
		t.Errorf("%d goroutines, %v", n, err)
	}

	c.Worker.Kill()
	if err := c.StartWorker(); err != nil {
		t.Fatal(err)
	}
	if err := c.Await(t.Context(), "the take-over", func(context.Context) error {
		counts, err := c.Double.Counts()
		if err == nil && (counts.Arrived < 2*listeners || counts.Idle != listeners) {
			err = fmt.Errorf("%+v", counts)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Double.Deliver(rig.Mailing{First: 1, Boxes: 1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Await(t.Context(), "the mail after the take-over", func(context.Context) error {
		if missing := c.Receiver.MissingOf([]uint32{1, 2, 1, 1, 1, 1, 1, 1}); missing != 0 {
			return fmt.Errorf("%d mails are missing", missing)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	if err := c.SubscribeRestless(t.Context(), listeners+restless); err != nil {
		t.Fatal(err)
	}
	before, err := c.Double.Counts()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Await(t.Context(), "IDLE to be renewed", func(context.Context) error {
		after, err := c.Double.Counts()
		if err == nil && after.Idles < before.Idles+3*restless {
			err = errors.New("too seldom")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
