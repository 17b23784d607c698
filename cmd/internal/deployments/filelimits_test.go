// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/capacity"
	"mailpush.internal/pkg/identity"
)

// A listener is an open file: where we start workers, the limit is not the system's usual
// one, which would be a few hundred listeners, and it is the same everywhere.
func TestWorkersMayOpenAFileForEachListener(t *testing.T) {
	t.Parallel()
	const carries = 100_000
	limits := map[string]string{
		"the unit": readUnit(t, filepath.Join(directory, "systemd", "mailpush-"+identity.Worker+".service")).only(t, "LimitNOFILE"),
	}
	compose := decodeYAML[composeFile](t, filepath.Join(directory, "compose", "compose.yaml"))[0]
	for name, c := range compose.Services {
		if strings.HasSuffix(c.Build.Dockerfile, identity.Worker+".containerfile") {
			limits[name] = c.Ulimits.NoFile
		}
	}
	for name, limit := range limits {
		files, err := strconv.ParseUint(limit, 10, 64)
		if got := capacity.Of(capacity.Machine{Files: files}).Listeners; err != nil || got < carries || limit != limits["the unit"] {
			t.Errorf("%s: the limit of %q open files is for %d listeners", name, limit, got)
		}
	}
	if len(limits) < 2 {
		t.Error("compose.yaml has no worker")
	}
}
