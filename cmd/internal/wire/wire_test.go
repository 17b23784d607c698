// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
)

// Whatever service is built, its log says which call a line is about.
func TestLogLinesHaveTheIDOfTheirCall(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	build := func(ctx context.Context, _ *settings.Settings, rt service.Runtime, _ *wire.Addresses) (wire.Built, error) {
		rt.Log.With("a", 1).InfoContext(rpc.WithRequestID(ctx, "case-1"), "of a call")
		rt.Log.InfoContext(ctx, "of none")
		return wire.Built{}, nil
	}
	_, err := wire.Build(t.Context(), build, settings.Single(), service.Runtime{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if got := logged.String(); strings.Count(got, "request_id=case-1") != 1 || strings.Count(got, "request_id") != 1 {
		t.Errorf("logged %s", got)
	}
}
