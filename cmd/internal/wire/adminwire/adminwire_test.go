// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminwire

import (
	"testing"

	"mailpush.internal/cmd/internal/settings"
)

func TestBackendIsThatOfTheMailStore(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"": settings.BackendIMAPIdle, settings.BackendIMAPIdle: settings.BackendIMAPIdle, "other": "other"} {
		store, err := mailStore("main", settings.Store{Address: "mail.example:993", Backend: said})
		if err != nil || store.GetBackend() != want {
			t.Errorf("backend %q becomes %q, error %v", said, store.GetBackend(), err)
		}
	}
}
