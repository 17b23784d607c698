// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
)

const (
	repository = "../../.."
	directory  = repository + "/deployments"
)

// load reads a settings file as the named service would, and validates it for it.
func load(t *testing.T, service, file string, environ, set []string) *settings.Settings {
	t.Helper()
	s, err := settings.Load(file, environ, set)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Validate(service), adminwire.Check(s), vaultwire.Check(s), workerwire.Check(s)); err != nil {
		t.Errorf("%s for %s: %v", file, service, err)
	}
	return s
}

// accepts starts the service's own main with --check, so that flags are proven too.
func accepts(t *testing.T, service string, args []string) {
	t.Helper()
	var said bytes.Buffer
	if code := program.Main(program.Service{Name: service}, "test", append(slices.Clone(args), "--check"), &said, &said); code != 0 {
		t.Errorf("%s %v --check: exit code %d\n%s", service, args, code, said.String())
	}
}

// ports are the ports a service listens on, by what they are for.
func ports(t *testing.T, service string, s *settings.Settings) map[string]string {
	t.Helper()
	addresses := map[string]map[string]string{
		identity.Admin:     {"public": s.Admin.Listen, "internal": s.Admin.InternalListen, "ops": s.Admin.OpsListen},
		identity.Vault:     {"internal": s.Vault.Listen, "ops": s.Vault.OpsListen},
		identity.Scheduler: {"internal": s.Scheduler.Listen, "ops": s.Scheduler.OpsListen},
		identity.Worker:    {"internal": s.Worker.Listen, "ops": s.Worker.OpsListen},
	}[service]
	found := map[string]string{}
	for purpose, address := range addresses {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		found[purpose] = port
	}
	return found
}

// peers are the addresses under which the others are expected, by service.
func peers(s *settings.Settings) map[string][]string {
	return map[string][]string{
		identity.Admin:     s.AdminAddresses(),
		identity.Vault:     s.VaultAddresses(),
		identity.Scheduler: s.SchedulerAddresses(),
	}
}

// files are the files that a service's settings name.
func files(service string, s *settings.Settings) []string {
	named := []string{
		filepath.Join(s.Identity.Dir, "ca.crt"),
		filepath.Join(s.Identity.Dir, service+".crt"),
		filepath.Join(s.Identity.Dir, service+".key"),
	}
	switch service {
	case identity.Admin:
		named = append(named, s.Admin.DatabaseFile, s.Admin.TLS.CertFile, s.Admin.TLS.KeyFile)
	case identity.Vault:
		named = append(named, s.Vault.DatabaseFile, s.Push.CredStorage.PasscryptFile)
	}
	return slices.DeleteFunc(named, func(name string) bool { return name == "" })
}

// decodeYAML decodes all documents of a file into values of one type.
func decodeYAML[T any](t *testing.T, file string) []T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var one T
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
}

func mustExist(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

// glob finds files, and fails when there are none: a moved folder must not look like
// a folder without faults.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(directory, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return found
}
