// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"bytes"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/pkg/identity"
)

type composeFile struct {
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type composeService struct {
	Build struct {
		Context, Dockerfile string
	}
	DependsOn   []string `yaml:"depends_on"`
	Environment map[string]string
	Ports       []string
	Secrets     []composeSecret
	Volumes     []string
	HealthCheck struct {
		Test []string
	} `yaml:"healthcheck"`
	Ulimits struct {
		NoFile string `yaml:"nofile"`
	}
}

// composeSecret is a secret's name, or where it is put as well.
type composeSecret struct{ Source, Target string }

func (s *composeSecret) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&s.Source) == nil {
		s.Target = "/run/secrets/" + s.Source
		return nil
	}
	type plain composeSecret
	return unmarshal((*plain)(s))
}

func TestCompose(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(directory, "compose")
	compose := decodeYAML[composeFile](t, filepath.Join(folder, "compose.yaml"))[0]
	settingsFile := filepath.Join(folder, "mailpush.yaml")
	running := map[string]int{}
	for name, c := range compose.Services {
		for _, other := range c.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s depends on %s, which there is not", name, other)
			}
		}
		if len(c.HealthCheck.Test) < 2 || c.HealthCheck.Test[0] != "CMD" {
			t.Errorf("%s has the health check %v: want a command, without a shell", name, c.HealthCheck.Test)
		}
		for _, volume := range c.Volumes {
			if source, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(source, ".") {
				mustExist(t, filepath.Join(folder, source))
			} else if _, ok := compose.Volumes[source]; !ok {
				t.Errorf("%s uses the volume %s, which there is not", name, source)
			}
		}
		if c.Build.Dockerfile == "" {
			continue // not ours
		}
		mustExist(t, filepath.Join(folder, c.Build.Context, c.Build.Dockerfile))
		service := strings.TrimSuffix(path.Base(c.Build.Dockerfile), ".containerfile")
		running[service]++
		checkHealth(t, service, c.HealthCheck.Test[1:], settingsFile)
		checkComposeService(t, compose, service, name, settingsFile)
	}
	for _, service := range identity.Services() {
		if running[service] == 0 {
			t.Errorf("%s is not in compose.yaml", service)
		}
	}
}

// checkHealth runs a service's health check, as its container would: nothing listens there,
// and that is what it must say.
func checkHealth(t *testing.T, service string, command []string, settingsFile string) {
	t.Helper()
	if command[0] != "/usr/bin/"+service {
		t.Errorf("%s is asked by %s", service, command[0])
	}
	args := slices.Clone(command[1:])
	args[slices.Index(args, "/etc/mailpush/mailpush.yaml")] = settingsFile
	var said bytes.Buffer
	nowhere := "--set=" + map[string]string{
		identity.Admin: "admin", identity.Vault: "vault", identity.Scheduler: "scheduler", identity.Worker: "worker",
	}[service] + ".opsListen=127.0.0.1:1"
	if code := program.Main(program.Service{Name: service}, "test", append(args, nowhere, "--set=worker.advertise=worker:8104"), &said, &said); code != 1 ||
		!strings.Contains(said.String(), "http://127.0.0.1:1/readyz") {
		t.Errorf("%s %v: exit code %d\n%s", service, args, code, said.String())
	}
}

// PostgreSQL makes the databases with secrets that it has been given.
func TestComposeDatabases(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(directory, "compose")
	postgres := decodeYAML[composeFile](t, filepath.Join(folder, "compose.yaml"))[0].Services["postgres"]
	if !slices.Contains(postgres.Volumes, "./databases.sql:/docker-entrypoint-initdb.d/databases.sql:ro") {
		t.Error("nobody runs databases.sql")
	}
	script, err := os.ReadFile(filepath.Join(folder, "databases.sql"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("/run/secrets/[a-z-]+").FindAllString(string(script), -1)
	if len(named) != 2 {
		t.Errorf("databases.sql reads %v, want the passwords of two roles", named)
	}
	for _, file := range named {
		if !slices.ContainsFunc(postgres.Secrets, func(s composeSecret) bool { return s.Target == file }) {
			t.Errorf("databases.sql reads %s, which is none of PostgreSQL's secrets", file)
		}
	}
}

func checkComposeService(t *testing.T, compose composeFile, service, name, settingsFile string) {
	t.Helper()
	c := compose.Services[name]
	var environ []string
	for _, key := range slices.Sorted(maps.Keys(c.Environment)) {
		environ = append(environ, key+"="+c.Environment[key])
	}
	s := load(t, service, settingsFile, environ, nil)
	var there []string
	for _, secret := range c.Secrets {
		there = append(there, secret.Target)
		if compose.Secrets[secret.Source].File == "" {
			t.Errorf("%s uses the secret %s, which there is not", name, secret.Source)
		}
	}
	for _, file := range files(service, s) {
		if !slices.Contains(there, file) {
			t.Errorf("%s needs %s, which is none of its secrets", name, file)
		}
	}
	for _, published := range c.Ports {
		if _, port, _ := strings.Cut(published, ":"); port != ports(t, service, s)["public"] {
			t.Errorf("%s publishes %s, but its public port is %s", name, published, ports(t, service, s)["public"])
		}
	}
	addresses := slices.Concat(slices.Collect(maps.Values(peers(s)))...)
	if service == identity.Worker {
		addresses = append(addresses, s.WorkerAdvertise())
	}
	for _, address := range addresses {
		host, port, _ := net.SplitHostPort(address)
		peer, ok := compose.Services[host]
		if !ok {
			t.Errorf("%s looks for %s, which there is not", name, address)
			continue
		}
		peerService := strings.TrimSuffix(path.Base(peer.Build.Dockerfile), ".containerfile")
		if want := ports(t, peerService, s)["internal"]; port != want {
			t.Errorf("%s looks for %s, but %s listens on %s", name, address, host, want)
		}
	}
}
