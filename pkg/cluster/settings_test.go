// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
)

func TestSettingsAreMadeOnceAndAgreedOn(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	first := open(t, config).Settings()
	if first.GetShards() != 8 || first.GetLeaseTtlSeconds() != 2 || first.GetClusterId() == "" || first.GetFormat() != 1 {
		t.Errorf("a new cluster has %v", first)
	}
	config.Shards, config.LeaseTTL = 0, 0
	config.Prefix += "/"
	if second := open(t, config).Settings(); !proto.Equal(first, second) {
		t.Errorf("the second process sees %v, the first made %v", second, first)
	}
}

func TestDefaultSettings(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	config.Shards, config.LeaseTTL = 0, 0
	if got := open(t, config).Settings(); got.GetShards() != 1024 || got.GetLeaseTtlSeconds() != 5 {
		t.Errorf("a new cluster has %v", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	future, err := proto.Marshal(&clusterv1.Config{Format: 9, Shards: 8, LeaseTtlSeconds: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		stored string
		change func(*cluster.Config)
		kind   fault.Kind
		want   string // KEY stands for the key of the settings
	}{
		"other shards":     {change: func(c *cluster.Config) { c.Shards = 16 }, kind: fault.Precondition, want: "key KEY: the cluster has 8 shards, 16 are configured here"},
		"another lease":    {change: func(c *cluster.Config) { c.LeaseTTL = 3 * time.Second }, kind: fault.Precondition, want: "key KEY: the cluster has a lease of 2s, 3s is configured here"},
		"another cluster":  {change: func(c *cluster.Config) { c.Name, c.Shards = "beta", 16 }, kind: fault.Precondition, want: `key KEY: the cluster there is "alpha", "beta" is configured here: give each a prefix of its own`},
		"crooked shards":   {change: func(c *cluster.Config) { c.Shards = 12 }, kind: fault.Invalid, want: "shards: 12 is not a power of two"},
		"a short lease":    {change: func(c *cluster.Config) { c.LeaseTTL = time.Second }, kind: fault.Invalid, want: "leaseTTL: 1s is shorter than 2s, the least etcd grants"},
		"part of a second": {change: func(c *cluster.Config) { c.LeaseTTL = 2500 * time.Millisecond }, kind: fault.Invalid, want: "leaseTTL: 2.5s is not in whole seconds"},
		"no endpoint":      {change: func(c *cluster.Config) { c.Endpoints = nil }, kind: fault.Invalid, want: "endpoints: no etcd endpoint is configured"},
		"foreign data":     {stored: "\xffwhatever", kind: fault.DataLoss, want: "key KEY: the value is not mailpush's"},
		"an empty value":   {stored: "\x00", kind: fault.DataLoss, want: "key KEY: the value is not mailpush's"},
		"a later format":   {stored: string(future), kind: fault.DataLoss, want: "key KEY: the value has format 9, this program knows formats up to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := fresh(t)
			config.Name = "alpha"
			if c.stored != "" {
				if _, err := raw(t).Put(t.Context(), config.Prefix+"/cfg", c.stored); err != nil {
					t.Fatal(err)
				}
			} else {
				open(t, config)
			}
			if c.change != nil {
				c.change(&config)
			}
			_, err := cluster.Open(t.Context(), config, discard())
			want := strings.ReplaceAll(c.want, "KEY", config.Prefix+"/cfg")
			if err == nil || err.Error() != want || fault.KindOf(err) != c.kind {
				t.Errorf("got %v of kind %v, want %q of kind %v", err, fault.KindOf(err), want, c.kind)
			}
		})
	}
}

// Clusters that were made before names were stored get the name of whoever comes.
func TestClusterWithoutANameIsNamedOnce(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	first := open(t, config).Settings()
	alpha, beta := config, config
	alpha.Name, beta.Name = "alpha", "beta"
	named := open(t, alpha).Settings()
	if named.GetName() != "alpha" || named.GetClusterId() != first.GetClusterId() {
		t.Errorf("%v was named to %v", first, named)
	}
	if again := open(t, config).Settings(); !proto.Equal(again, named) {
		t.Errorf("a process without a name sees %v, want %v", again, named)
	}
	if _, err := cluster.Open(t.Context(), beta, discard()); fault.KindOf(err) != fault.Precondition {
		t.Errorf("another name: %v, want an error of kind Precondition", err)
	}
}

func TestOpenNamesEndpointsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	config.Endpoints = []string{"127.0.0.1:1", "127.0.0.1:2"}
	started := time.Now()
	_, err := cluster.Open(t.Context(), config, discard())
	if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "127.0.0.1:1, 127.0.0.1:2: ") ||
		!strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v, want an error of kind Unavailable with both endpoints and the reason", err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
