// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package condition

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/fault"
)

// logged is what a condition says of a story.
func logged(t *testing.T, maker func(*slog.Logger, slog.Level, string) *Condition, story func(c *Condition)) string {
	t.Helper()
	var text bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	synctest.Test(t, func(*testing.T) { story(maker(log, slog.LevelWarn, "rows could not be stored")) })
	return text.String()
}

func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	got := logged(t, New, func(c *Condition) {
		c.Worked(t.Context()) // nothing to tell
		for range 1000 {
			c.Failed(t.Context(), fault.New(fault.Unavailable, "away"), "rows", 7)
			time.Sleep(time.Second) //nolint:forbidigo // of the test's own clock
		}
		c.Worked(t.Context())
		c.Worked(t.Context())
	})
	want := `level=WARN msg="rows could not be stored" rows=7 error=away
level=INFO msg="a failure is over" what="rows could not be stored" tries=1000 lasted=16m39s
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEachKindOfFailureIsTold(t *testing.T) {
	t.Parallel()
	got := logged(t, New, func(c *Condition) {
		for range 10 {
			c.Failed(t.Context(), fault.New(fault.Unavailable, "away"))
			c.Failed(t.Context(), errors.New("broken"))
		}
		c.Worked(t.Context())
		c.Failed(t.Context(), errors.New("broken again"))
	})
	for _, want := range []string{"error=away", "error=broken\n", `error="broken again"`} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%s is not there once:\n%s", want, got)
		}
	}
}

// Half of the tries fail: that is one state, however often the other half works.
func TestASharedConditionDoesNotFlap(t *testing.T) {
	t.Parallel()
	got := logged(t, NewShared, func(c *Condition) {
		for range 100 {
			c.Failed(t.Context(), errors.New("this one"))
			c.Worked(t.Context())
			time.Sleep(settling / 2) //nolint:forbidigo // of the test's own clock
		}
		if c.Worked(t.Context()); !c.failing.Load() {
			t.Error("it was over while it might go on")
		}
		time.Sleep(settling) //nolint:forbidigo // of the test's own clock
		c.Failed(t.Context(), errors.New("the next one"))
	})
	if want := []string{"this one", "is over", "the next one"}; strings.Count(got, "\n") != len(want) {
		t.Errorf("want three lines, about %v:\n%s", want, got)
	}
}

func TestManyMayShareACondition(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	c := NewShared(slog.New(slog.NewTextHandler(&text, nil)), slog.LevelWarn, "x")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Failed(t.Context(), errors.New("no"))
				c.Worked(t.Context())
			}
		})
	}
	all.Wait()
	if got := strings.Count(text.String(), "\n"); got != 1 {
		t.Errorf("%d lines, want 1", got)
	}
}
