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
	const worker = "services/listener-worker/internal/"
	for _, test := range []struct {
		from, imported string
		inTest         bool
		want           string
	}{
		{"services/scheduler/internal/leader", Prefix + "services/scheduler/internal/assign", false, ""},
		{"services/scheduler", Prefix + "services/scheduler/internal/rpc", false, ""},
		{"services/scheduler/internal/plan", "fmt", false, "no row in house.txt"},
		{"services/scheduler/internal/leader", Prefix + "services/scheduler/internal/plan", false, "no row in house.txt"},
		{"services/scheduler/internal/term", "log/slog", false, "does not name effects"},
		{"services/scheduler/internal/term", "log/slog", true, ""},
		{"services/scheduler/internal/term", Prefix + "pkg/secret", false, ""},
		{"services/scheduler/internal/term", Prefix + "pkg/cluster", false, "does not name it, of rank library"},
		{worker + "listen", Prefix + worker + "imap", false, "does not name it, of rank edge"},
		{worker + "listen", Prefix + worker + "imap", true, ""},
		{worker + "listen", Prefix + worker + "deliver", false, "does not name it, of rank domain"},
		{worker + "deliver/pump", Prefix + worker + "deliver", false, "does not name it, of rank domain"},
		{worker + "peers", Prefix + worker + "rpc", false, "does not name it, of rank edge"},
		{worker + "owner", Prefix + "proto/gen/mailpush/registry/v1", false, ""},
		{worker + "owner", Prefix + "proto/gen/mailpush/registry/v1/registryv1connect", false, "does not name connect"},
		{worker + "webhook", "net/http", false, ""},
		{worker + "webhook", "net/netip", false, ""},
		{worker + "deliver", "net", false, "does not name net"},
		{"services/scheduler", Prefix + "services/admin-api/internal/decide", false, "services speak to each other by RPC only"},
		{"services/scheduler", Prefix + "services/scheduler-next", false, "services speak to each other by RPC only"},
		{"services/scheduler", Prefix + "cmd/internal/settings", false, "nothing imports a program"},
		{"services/scheduler", Prefix + "trials/rig", true, "nothing that is shipped imports a trial"},
		{"services/scheduler", Prefix + "pkg/cluster", false, ""},
		{"services/scheduler", Prefix + "pkg/imaptest", false, "test kits are for tests"},
		{"services/scheduler", Prefix + "pkg/imaptest", true, ""},
		{"services/listener-worker/bench", Prefix + "pkg/pushtest", false, ""},
		{"services/scheduler/sim", Prefix + "pkg/imaptest", false, "test kits are for tests"},
		{"pkg/rpc", Prefix + "services/scheduler", true, "pkg knows no service"},
		{"pkg/rpc", Prefix + "proto/gen/mailpush/mail/v1", false, ""},
		{"pkg/rpc", Prefix + "pkg/cluster", false, "does not name it, of rank library"},
		{"proto/gen/mailpush/mail/v1", Prefix + "pkg/secret", false, "the contract imports nothing of ours"},
		{"cmd/mailpush", Prefix + "services/scheduler", false, ""},
		{"cmd/mailpush", Prefix + "pkg/imaptest", false, ""},
		{"cmd/scheduler", Prefix + "pkg/imaptest", false, "test kits are for tests"},
		{"cmd/internal/anything", "net/http", false, ""},
		{"cmd/internal/anything", "gorm.io/gorm", false, "does not name sql"},
		{"services/admin-api/internal/store", "gorm.io/gorm", false, ""},
		{"services/admin-api/internal/edge", "gorm.io/gorm", false, "does not name sql"},
		{"services/scheduler", "gorm.io/driver/postgres", true, "does not name sql"},
		{worker + "imap/internal/wire", "github.com/emersion/go-imap/v2", true, ""},
		{"services/admin-api", "github.com/emersion/go-imap/v2/imapclient", true, "does not name imap"},
		{"services/credential-vault/internal/seal", "crypto/aes", false, ""},
		{"services/credential-vault/internal/store", "crypto/aes", false, "does not name cipher"},
		{"services/scheduler", "go.etcd.io/etcd/client/v3", false, "does not name etcd"},
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
			got := strings.Join(table(t).Violations(p), "\n")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func table(t *testing.T) Table {
	t.Helper()
	read, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	return read
}
