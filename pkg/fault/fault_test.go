// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
)

func TestKindOfLooksThroughWrapping(t *testing.T) {
	t.Parallel()
	inner := fault.Wrap(fault.Unavailable, io.ErrUnexpectedEOF, "mail store %q does not answer", "main")
	outer := fmt.Errorf("taking the baseline: %w", inner)
	if got := fault.KindOf(outer); got != fault.Unavailable {
		t.Errorf("KindOf = %v, want Unavailable", got)
	}
	if !errors.Is(outer, io.ErrUnexpectedEOF) {
		t.Error("the cause is not reachable")
	}
	if got, want := inner.Error(), `mail store "main" does not answer`; got != want {
		t.Errorf("Error() = %q, want %q: the cause must not show", got, want)
	}
	if got := fault.KindOf(io.EOF); got != fault.Internal {
		t.Errorf("KindOf(io.EOF) = %v, want Internal", got)
	}
	if got, want := fault.Field("account.login", "is too long").Error(), "account.login: is too long"; got != want {
		t.Errorf("Field = %q, want %q", got, want)
	}
}

func TestLogsShowTheCause(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	log.Info("one", "error", fault.Wrap(fault.Unavailable, io.ErrUnexpectedEOF, "no answer"))
	log.Info("two", "error", fault.New(fault.NotFound, "no such user"))
	for _, want := range []string{`error="no answer: unexpected EOF"`, `error="no such user"`} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, logged.String())
		}
	}
}
