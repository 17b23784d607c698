// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/settings"
)

// Whoever reads a log need not know that slog counts nanoseconds.
func TestDurationsAreLoggedAsText(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var out strings.Builder
		log := settings.Log{Level: "info", Format: format}.LoggerOn(&out, new(slog.LevelVar))
		log.With("after", time.Minute).WithGroup("pace").InfoContext(t.Context(), "waits",
			"retry_in", 1500*time.Millisecond, "every", 2*time.Hour, "count", 7)
		for _, want := range []string{"1m0s", "1.5s", "2h0m0s", "7"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %s: %s", format, want, out.String())
			}
		}
		if strings.Contains(out.String(), "000000") {
			t.Errorf("%s counts nanoseconds: %s", format, out.String())
		}
	}
}
