// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

// Two installations with the default name, prefix, shards and lease meet on one etcd.
func TestClusterBelongsToOneInstallation(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	client := open(t, config)
	for _, installation := range []string{"", "alpha", "alpha", ""} {
		if err := client.Belong(t.Context(), installation); err != nil {
			t.Fatalf("installation %q: %v", installation, err)
		}
	}
	err := client.Belong(t.Context(), "beta")
	want := "key " + config.Prefix + "/cfg: the cluster there is of installation alpha, the registry here is of installation beta: give each a prefix of its own"
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Precondition {
		t.Errorf("got %v, want %q", err, want)
	}
	config.Name = "named" // by a process that comes later
	if got := open(t, config).Settings(); got.GetInstallationId() != "alpha" || got.GetName() != "named" {
		t.Errorf("it has become %v", got)
	}
	if err := client.Belong(t.Context(), "beta"); fault.KindOf(err) != fault.Precondition {
		t.Errorf("the name has made it anybody's: %v", err)
	}
}

func TestOfManyInstallationsOneHasTheCluster(t *testing.T) {
	t.Parallel()
	client := open(t, fresh(t))
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		all.Go(func() { errs[i] = client.Belong(t.Context(), strconv.Itoa(i)) })
	}
	all.Wait()
	refused := 0
	for _, err := range errs {
		if fault.KindOf(err) == fault.Precondition {
			refused++
		}
	}
	if refused != len(errs)-1 {
		t.Errorf("%d of %d were refused: %v", refused, len(errs), errors.Join(errs...))
	}
}

// Who runs goes on with settings that were spoilt meanwhile, and does not write over them.
func TestUnreadableSettingsAreNobodys(t *testing.T) {
	t.Parallel()
	future, err := proto.Marshal(&clusterv1.Config{Format: 9, InstallationId: "alpha"})
	if err != nil {
		t.Fatal(err)
	}
	config := fresh(t)
	client, etcd, key := open(t, config), raw(t), config.Prefix+"/cfg"
	for _, value := range []string{"\xffwhatever", string(future)} {
		if _, err := etcd.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
		if err := client.Belong(t.Context(), "beta"); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if got, err := etcd.Get(t.Context(), key); err != nil || string(got.Kvs[0].Value) != value {
			t.Errorf("%q became %v, %v", value, got, err)
		}
	}
	if _, err := etcd.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := client.Belong(t.Context(), "beta"); err != nil {
		t.Errorf("without settings: %v", err)
	}
}
