// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// components are our services, as their programs are called.
var components = []string{"admin-api", "credential-vault", "listener-worker", "scheduler"}

// tools are what every check needs, made once.
type tools struct {
	programs  string // the directory they are in
	validator validator.Validator
}

func newTools(t *testing.T) tools {
	t.Helper()
	programs := t.TempDir()
	args := []string{"build", "-o", programs + string(filepath.Separator)}
	for _, name := range components {
		args = append(args, "./cmd/"+name)
	}
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Dir = repository
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the services: %v\n%s", err, out)
	}
	return tools{programs: programs, validator: newValidator(t)}
}

// checkPrograms starts every service as its container would be, with --check.
func (tools tools) checkPrograms(t *testing.T, w world, found *findings) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mailpush.yaml")
	if err := os.WriteFile(file, []byte(withStandIns(t, w.configText)), 0o600); err != nil {
		t.Fatal(err)
	}
	running := map[string]bool{}
	for _, d := range w.deployments {
		pod := d.Spec.Template.Spec
		if len(pod.Containers) != 1 || !slices.Contains(components, component(d)) {
			found.add("%s is of no service of ours", d.Name)
			continue
		}
		running[component(d)] = true
		c := pod.Containers[0]
		want := []string{"--config", "/etc/mailpush/config/mailpush.yaml"}
		if component(d) == "listener-worker" {
			want = append(want, "--supervise")
		}
		if !slices.Equal(c.Args, want) {
			found.add("%s: the arguments are %q, want %q", d.Name, c.Args, want)
		}
		if !strings.Contains(c.Image, component(d)+":") {
			found.add("%s: the image is %s", d.Name, c.Image)
		}
		check := exec.CommandContext(t.Context(), filepath.Join(tools.programs, component(d)), append([]string{"--config", file, "--check"}, c.Args[min(2, len(c.Args)):]...)...)
		check.Env = environment(c, found)
		out, err := check.CombinedOutput()
		if err != nil {
			found.add("%s --check: %v\n%s", d.Name, err, out)
		}
		if component(d) == "listener-worker" {
			checkCapabilities(w, string(out), found)
		}
	}
	for _, name := range components {
		if !running[name] {
			found.add("there is no Deployment of %s", name)
		}
	}
}

// checkCapabilities expects a worker to have the backends of its settings, and to say so.
func checkCapabilities(w world, said string, found *findings) {
	backends, _ := w.setting("worker.backends").([]any)
	words := strings.Trim(strings.ReplaceAll(fmt.Sprint(backends), " ", ", "), "[]")
	if len(backends) == 0 || !strings.Contains(said, "backends "+words+"\n") {
		found.add("a worker with the backends %v says\n%s", backends, said)
	}
}

// environment is what a container sees of its variables, with stand-ins for what only a
// cluster knows.
func environment(c corev1.Container, found *findings) []string {
	known := map[string]string{}
	var all []string
	for _, v := range c.Env {
		value := v.Value
		for name, earlier := range known {
			value = strings.ReplaceAll(value, "$("+name+")", earlier)
		}
		if from := v.ValueFrom; from != nil {
			switch {
			case from.SecretKeyRef != nil:
				value = "stand-in"
			case from.FieldRef != nil && from.FieldRef.FieldPath == "status.podIP":
				value = "10.0.0.1"
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
				value = "pod-1"
			case from.FieldRef != nil && strings.HasPrefix(from.FieldRef.FieldPath, "metadata.labels["):
				value = "" // as where the label is missing
			default:
				found.add("%s: nothing is known of where %s comes from", c.Name, v.Name)
			}
		}
		if strings.Contains(value, "$(") {
			found.add("%s: %s holds %s, which no earlier variable fills", c.Name, v.Name, value)
		}
		known[v.Name] = value
		all = append(all, v.Name+"="+value)
	}
	return all
}

// zone is what a worker says of its zone.
func zone(d appsv1.Deployment) corev1.EnvVar {
	for _, v := range d.Spec.Template.Spec.Containers[0].Env {
		if v.Name == "MAILPUSH_WORKER_ZONE" {
			return v
		}
	}
	return corev1.EnvVar{}
}
