// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
)

// What a server of one process cannot help is not told, a single slow request is no
// warning, and everything else is told as loudly as etcd says it.
func TestLevelsOfWhatEtcdSays(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"simple token is not cryptographically signed": "",
		slowRequest:                    "level=INFO",
		storageVersion:                 "level=INFO",
		"memory quota is nearly used":  "level=WARN",
		"a warning while it is closed": "",
	} {
		t.Run(message, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			var closing atomic.Bool
			closing.Store(strings.HasSuffix(message, "closed"))
			bridge(slog.New(slog.NewTextHandler(&out, nil)), &closing).Warn(message, zap.Int("n", 1))
			if got := out.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%q is told as %q, want %q", message, got, want)
			}
		})
	}
}
