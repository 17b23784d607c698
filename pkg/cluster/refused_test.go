// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/cluster/clustertest"
	"mailpush.internal/pkg/cluster/embedded"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
)

// An etcd that does not want us, or is none: the error names the endpoint and what is
// wrong with it, within seconds and without the password.
func TestOpenSaysWhyItIsRefused(t *testing.T) {
	t.Parallel()
	config := fresh(t)
	locked, _ := guarded(t, config.Prefix)
	unlocked, _ := server(t, embedded.Config{})
	ours, theirs := issuer(t), issuer(t)
	behind := behindTLS(t, ours(identity.Vault).ServerTLS())
	user := func(name, password string) func(*cluster.Config) {
		return func(c *cluster.Config) { c.Username, c.Password = name, secret.New(password) }
	}
	for name, c := range map[string]struct {
		endpoint string
		change   func(*cluster.Config)
		want     string
	}{
		"a wrong password":        {locked, user(clustertest.User, "hunter2"), "authentication failed, invalid user ID or password"},
		"an unknown user":         {locked, user("nobody", "hunter2"), "authentication failed, invalid user ID or password"},
		"no user":                 {locked, func(*cluster.Config) {}, "user name is empty"},
		"another's prefix":        {locked, func(c *cluster.Config) { user(clustertest.User, clustertest.Password)(c); c.Prefix = "/else" }, "permission denied"},
		"another authority":       {"https://" + behind, func(c *cluster.Config) { c.TLS = theirs(identity.Scheduler).ClientTLS(identity.Vault) }, "certificate signed by unknown authority"},
		"no certificate":          {"https://" + behind, func(c *cluster.Config) { c.TLS = anonymous(ours(identity.Scheduler)) }, "certificate required"},
		"clear text to TLS":       {"http://" + behind, func(*cluster.Config) {}, "it speaks TLS, and clear text is configured"},
		"a password to TLS":       {"http://" + behind, user(clustertest.User, "hunter2"), "it speaks TLS, and clear text is configured"},
		"TLS to clear text":       {strings.Replace(unlocked, "http:", "https:", 1), func(c *cluster.Config) { c.TLS = ours(identity.Scheduler).ClientTLS(identity.Vault) }, "as one that speaks clear text does"},
		"a password for nobody":   {unlocked, user(clustertest.User, "hunter2"), ""},
		"the user with its right": {locked, user(clustertest.User, clustertest.Password), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := config
			config.Endpoints = []string{c.endpoint}
			c.change(&config)
			started := time.Now()
			client, err := cluster.Open(t.Context(), config, discard())
			if err == nil {
				_ = client.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
			case err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), c.endpoint) ||
				!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got %v, want an error of kind Unavailable that names %s and says %q", err, c.endpoint, c.want)
			}
			if took := time.Since(started); took > patience {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// issuer issues the identities of an installation of its own.
func issuer(t *testing.T) func(service string) *identity.Identity {
	t.Helper()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return func(service string) *identity.Identity {
		id, err := authority.Issue(service)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
}

// anonymous trusts the installation and shows no certificate.
func anonymous(id *identity.Identity) *tls.Config {
	config := id.ClientTLS(identity.Vault).Clone()
	config.Certificates, config.GetClientCertificate = nil, nil
	return config
}
