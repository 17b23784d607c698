// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/service"
)

func TestAwaitWaitsForWhatIsAwayAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log, tries := slog.New(slog.NewTextHandler(&text, nil)), 0
		err := service.Await(t.Context(), log, "the database does not answer", func(context.Context) error {
			if tries++; tries < 100 {
				return fault.New(fault.Unavailable, "refused %d", tries)
			}
			return nil
		})
		if err != nil || tries != 100 || strings.Count(text.String(), "\n") != 2 || !strings.Contains(text.String(), `error="refused 1"`) {
			t.Errorf("%v after %d tries\n%s", err, tries, text.String())
		}
	})
}

func TestAwaitGivesUpWhenWaitingDoesNotHelp(t *testing.T) {
	t.Parallel()
	wrong := errors.New("no such table")
	if err := service.Await(t.Context(), slog.New(slog.DiscardHandler), "x", func(context.Context) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := service.Await(ctx, slog.New(slog.DiscardHandler), "x", func(context.Context) error {
			return fault.New(fault.Unavailable, "away")
		})
		if err != nil {
			t.Errorf("a stop is an error: %v", err)
		}
	})
}
