// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/identity"
)

// TestSystemd runs each unit's command line, with --check, on the credentials that
// the unit loads.
func TestSystemd(t *testing.T) {
	t.Parallel()
	for _, service := range identity.Services() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			u := readUnit(t, filepath.Join(directory, "systemd", "mailpush-"+service+".service"))
			credentials := loadCredentials(t, u, service)

			start := strings.Fields(strings.ReplaceAll(u.only(t, "ExecStart"), "%d", credentials))
			if start[0] != "/usr/lib/mailpush/"+service {
				t.Errorf("it starts %s", start[0])
			}
			if want := u.only(t, "ExecStart") + " --check"; u.only(t, "ExecStartPre") != want {
				t.Errorf("want ExecStartPre=%s", want)
			}
			accepts(t, service, start[1:])

			s := load(t, service, start[2], nil, flagValues(start, "--set"))
			for _, file := range files(service, s) {
				mustExist(t, file)
			}
			database := map[string]string{identity.Admin: s.Admin.Database.Reveal(), identity.Vault: s.Vault.Database.Reveal()}[service]
			if database != "" && !strings.HasPrefix(database, "sqlite:///var/lib/"+u.only(t, "StateDirectory")+"/") {
				t.Errorf("its database %s is not in its state directory", database)
			}
		})
	}
}

// Two instances of a template run side by side, each on ports that are its own.
func TestSystemdTemplatesAreForSeveral(t *testing.T) {
	t.Parallel()
	for _, service := range []string{identity.Scheduler, identity.Worker} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			u := readUnit(t, filepath.Join(directory, "systemd", "mailpush-"+service+"@.service"))
			alone := readUnit(t, filepath.Join(directory, "systemd", "mailpush-"+service+".service"))
			if u.only(t, "ExecStart") != alone.only(t, "ExecStart") {
				t.Errorf("it starts %s", u.only(t, "ExecStart"))
			}
			credentials := loadCredentials(t, u, service)
			start := strings.Fields(strings.ReplaceAll(u.only(t, "ExecStart"), "%d", credentials))
			seen := map[string]bool{}
			for _, instance := range []string{"1", "2"} {
				var environ []string
				for _, line := range u["Environment"] {
					environ = append(environ, strings.Fields(strings.ReplaceAll(line, "%i", instance))...)
				}
				for purpose, port := range ports(t, service, load(t, service, start[2], environ, flagValues(start, "--set"))) {
					if seen[port] {
						t.Errorf("%s of instance %s has a port that is another's: %s", purpose, instance, port)
					}
					seen[port] = true
				}
			}
		})
	}
}

func TestSystemdUnitsAreHardened(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "systemd/*.service") {
		u := readUnit(t, file)
		for _, setting := range []string{
			"DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateDevices=yes",
			"CapabilityBoundingSet=", "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service", "LimitCORE=0", "MemorySwapMax=0",
		} {
			key, value, _ := strings.Cut(setting, "=")
			if !slices.Contains(u[key], value) {
				t.Errorf("%s lacks %s", filepath.Base(file), setting)
			}
		}
	}
}

// The socket is passed to the service of the same name, and is for the worker alone: the
// full example's notify address is what it listens on.
func TestSystemdSocketIsTheWorkers(t *testing.T) {
	t.Parallel()
	sockets := glob(t, "systemd/*.socket")
	if len(sockets) != 1 || filepath.Base(sockets[0]) != "mailpush-"+identity.Worker+".socket" {
		t.Fatalf("sockets %v", sockets)
	}
	u := readUnit(t, sockets[0])
	service := readUnit(t, strings.TrimSuffix(sockets[0], ".socket")+".service")
	credentials := loadCredentials(t, service, identity.Worker)
	accepts(t, identity.Worker, append(strings.Fields(strings.ReplaceAll(service.only(t, "ExecStart"), "%d", credentials))[1:],
		"--set", "worker.notify.listen="+u.only(t, "ListenStream"), "--set", "worker.notify.username=dove", "--set", "worker.notify.password=x"))
	if !strings.Contains(service.only(t, "ExecReload"), "-USR2") {
		t.Error("a reload does not restart the worker in its place")
	}
}

// The worker of each deployment has a supervisor, which goes on where the system has killed
// the worker for its memory. (Kubernetes is the chart's test.)
func TestWorkersAreSupervised(t *testing.T) {
	t.Parallel()
	u := readUnit(t, filepath.Join(directory, "systemd", "mailpush-"+identity.Worker+".service"))
	if start := strings.Fields(u.only(t, "ExecStart")); !slices.Contains(start, "--supervise") || u.only(t, "OOMPolicy") != "continue" {
		t.Errorf("the unit starts %v, and OOMPolicy=%v", start, u["OOMPolicy"])
	}
	c := readContainerFile(t, containerFile(identity.Worker))
	if !slices.Contains(c.lines, `CMD ["--config", "/etc/mailpush/mailpush.yaml", "--supervise"]`) {
		t.Error("the container does not")
	}
}

// unit is a unit file's settings by key; keys are unique across its sections.
type unit map[string][]string

func readUnit(t *testing.T, file string) unit {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	u := unit{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%s: cannot read %q", file, line)
		}
		u[key] = append(u[key], value)
	}
	return u
}

func (u unit) only(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Fatalf("%s is there %d times, want once", key, len(u[key]))
	}
	return u[key][0]
}

// loadCredentials makes the directory that systemd would make, of the example settings,
// of certificates for their cluster, and of stand-ins for all else.
func loadCredentials(t *testing.T, u unit, service string) string {
	t.Helper()
	made := t.TempDir()
	authority, err := identity.OpenAuthority(t.TempDir(), "single")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Write(service, made); err != nil {
		t.Fatal(err)
	}
	for _, credential := range u["LoadCredential"] {
		name, source, _ := strings.Cut(credential, ":")
		if !strings.HasPrefix(source, "/etc/mailpush/") || filepath.Base(source) != name {
			t.Errorf("unexpected credential %s", credential)
		}
		if _, err := os.Stat(filepath.Join(made, name)); err == nil {
			continue // a certificate
		}
		text := []byte("stand-in for a secret")
		if example, err := os.ReadFile(filepath.Join(directory, "systemd", name)); err == nil {
			text = example
		}
		if err := os.WriteFile(filepath.Join(made, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// flagValues are the values of a flag that may be given several times.
func flagValues(args []string, flag string) []string {
	var values []string
	for i, arg := range args[:len(args)-1] {
		if arg == flag {
			values = append(values, args[i+1])
		}
	}
	return values
}
