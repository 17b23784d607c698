// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"strings"
	"testing"
)

// The rules must be able to say no: each with the import it was made for.
func TestViolations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, imported string
		inTest         bool
		want           string
	}{
		{"services/scheduler/internal/leader", Prefix + "services/scheduler/internal/assign", false, ""},
		{"services/scheduler", Prefix + "services/scheduler/internal/rpc", false, ""},
		{"services/scheduler/internal/plan", "fmt", false, "not said whether that is domain or technology"},
		{"services/listener-worker/internal/listen", Prefix + "services/listener-worker/internal/imapidle", false, "the domain knows no technology"},
		{"services/listener-worker/internal/listen", Prefix + "services/listener-worker/internal/imapidle", true, ""},
		{"services/listener-worker/internal/peers", Prefix + "services/listener-worker/internal/webhook", false, "packages for a technology do not import each other"},
		{"services/scheduler", Prefix + "services/admin-api/internal/decide", false, "services speak to each other by RPC only"},
		{"services/scheduler", Prefix + "services/scheduler-next", false, "services speak to each other by RPC only"},
		{"services/scheduler", Prefix + "cmd/internal/settings", false, "nothing imports a program"},
		{"services/scheduler", Prefix + "pkg/cluster", false, ""},
		{"services/scheduler", Prefix + "pkg/imaptest", false, "test kits are for tests"},
		{"services/scheduler", Prefix + "pkg/imaptest", true, ""},
		{"services/listener-worker/bench", Prefix + "pkg/pushtest", false, ""},
		{"pkg/rpc", Prefix + "services/scheduler", true, "pkg knows no service"},
		{"pkg/rpc", Prefix + "proto/gen/mailpush/mail/v1", false, ""},
		{"proto/gen/mailpush/mail/v1", Prefix + "pkg/secret", false, "the contract imports nothing of ours"},
		{"cmd/mailpush", Prefix + "services/scheduler", false, ""},
		{"cmd/mailpush", Prefix + "pkg/imaptest", false, ""},
		{"services/admin-api/internal/store", "gorm.io/gorm", false, ""},
		{"services/admin-api/internal/edge", "gorm.io/gorm", false, "only store packages speak SQL"},
		{"services/admin-api", "gorm.io/driver/postgres", true, "only store packages speak SQL"},
		{"services/listener-worker/internal/imapidle", "github.com/emersion/go-imap/v2", false, ""},
		{"services/admin-api", "github.com/emersion/go-imap/v2/imapclient", false, "speak IMAP"},
		{"services/credential-vault/internal/seal", "crypto/aes", false, ""},
		{"services/credential-vault/internal/store", "crypto/aes", false, "only the vault's sealing package encrypts"},
		{"services/scheduler", "go.etcd.io/etcd/client/v3", false, "only pkg/cluster speaks to etcd"},
		{"pkg/cluster/embedded", "go.etcd.io/etcd/server/v3/embed", false, ""},
	} {
		t.Run(test.from+" imports "+test.imported, func(t *testing.T) {
			t.Parallel()
			p := Package{ImportPath: Prefix + test.from}
			if test.inTest {
				p.TestImports = []string{test.imported}
			} else {
				p.Imports = []string{test.imported}
			}
			got := strings.Join(Violations(p), "\n")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
