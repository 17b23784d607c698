// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/identity"
)

func TestCertificatesAreJudgedByTheClustersName(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	dir := t.TempDir()
	write := func(in, cluster, service string) identity.Files {
		t.Helper()
		files, err := authority(t, filepath.Join(dir, in, "ca"), cluster).Write(service, filepath.Join(dir, in, service))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	own, stranger := write("a", "c", identity.Vault), write("b", "c", identity.Vault)
	other, foreign := write("a", "c", identity.Admin), write("f", "elsewhere", identity.Vault)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files identity.Files
		later time.Duration
		want  []string
	}{
		"good":                     {own, 0, nil},
		"of another cluster":       {foreign, 0, []string{foreign.Cert + `: the certificate is of cluster "elsewhere", not "c"`}},
		"of another service":       {other, 0, []string{`it names the service "admin-api", not "credential-vault"`}},
		"of another authority":     {identity.Files{CA: stranger.CA, Cert: own.Cert, Key: own.Key}, 0, []string{own.Cert + " is not of the authority in " + stranger.CA}},
		"another's key":            {identity.Files{CA: own.CA, Cert: own.Cert, Key: other.Key}, 0, []string{own.Cert + " with " + other.Key, "private key does not match"}},
		"ended":                    {own, 3 * year, []string{own.Cert + ": it has ended on 20"}},
		"ended, and its authority": {own, 11 * year, []string{own.Cert + ": it has ended on", own.CA + ": it has ended on"}},
		"not yet good":             {own, -year, []string{own.Cert + ": it is good from"}},
		"no PEM":                   {identity.Files{CA: text, Cert: own.Cert, Key: own.Key}, 0, []string{text + ": it holds no PEM certificate"}},
		"two faults at once":       {identity.Files{CA: text, Cert: text, Key: own.Key}, 0, []string{text + ": it holds no PEM certificate", text + " with " + own.Key}},
		"nothing there":            {identity.Files{CA: own.CA, Cert: own.Cert + "x", Key: own.Key}, 0, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			until, err := identity.Judge("c", identity.Vault, c.files, time.Now().Add(c.later))
			if len(c.want) == 0 {
				if err != nil || !until.Certificate.After(time.Now().Add(year)) || !until.Authority.After(until.Certificate) {
					t.Errorf("%v, %v", until, err)
				}
				return
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}
