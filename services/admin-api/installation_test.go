// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
)

func (w *world) installation(as string) (string, error) {
	w.t.Helper()
	res, err := w.registry(as).GetInstallation(w.t.Context(), connect.NewRequest(&registryv1.GetInstallationRequest{}))
	if err != nil {
		return "", err
	}
	return res.Msg.GetInstallationId(), nil
}

func TestClusterBecomesTheInstallations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, service := range []string{identity.Worker, identity.Scheduler} {
		name, err := w.installation(service)
		if err != nil || name == "" {
			t.Fatalf("%s is told %q, %v", service, name, err)
		}
		if err := w.cluster.Belong(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if err := w.cluster.Belong(t.Context(), "theirs"); fault.KindOf(err) != fault.Precondition {
		t.Errorf("another may have the cluster: %v", err)
	}
	if _, err := w.installation(identity.Vault); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("the vault's call: %v, want permission_denied", err)
	}
}

// Its own workers and schedulers must be able to learn that the cluster is not theirs;
// applications and operators have nothing to expect of it there.
func TestInAnotherInstallationsClusterOnlyItsOwnAreServed(t *testing.T) {
	t.Parallel()
	w := launchWorld(t, func(c *Config) {
		members, err := cluster.Open(t.Context(), c.Cluster, slog.New(slog.DiscardHandler))
		check(t, err)
		check(t, members.Belong(t.Context(), "theirs"))
		check(t, members.Close())
	})
	ours, err := w.installation(identity.Worker)
	for late := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(late); {
		ours, err = w.installation(identity.Worker) // its registry may still be in the making
	}
	check(t, err)
	want := "key /test/cfg: the cluster there is of installation theirs, the registry here is of installation " + ours
	for late := time.After(20 * time.Second); !strings.Contains(w.log.String(), `level=ERROR msg="cluster cannot be joined yet" error="`+want); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			t.Fatalf("logged is only %s", w.log.String())
		}
	}
	if got := w.post(asAdmin, adminURL+"ListWorkers", "{}"); got.status != http.StatusServiceUnavailable {
		t.Errorf("it serves the public: %d %s", got.status, got.text)
	}
}
