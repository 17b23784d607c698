// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deployments

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mailpush.internal/pkg/identity"
)

// manifest is what the test reads of an object; other kinds leave the rest empty.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string // of a ConfigMap
	Spec     struct {
		Ports []struct { // of a Service
			Name string
			Port int
		} `yaml:"ports"`
		Template struct { // of a Deployment
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     podSpec
		}
	}
}

type podSpec struct {
	EnableServiceLinks *bool `yaml:"enableServiceLinks"`
	Containers         []struct {
		Name, Image string
		Args        []string
		Env         []struct{ Name, Value string }
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		ReadinessProbe probe `yaml:"readinessProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		VolumeMounts   []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct{ Name string }
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	objects := map[string]manifest{}
	for _, file := range glob(t, "kubernetes/*.yaml") {
		for _, m := range decodeYAML[manifest](t, file) {
			objects[m.Kind+"/"+m.Metadata.Name] = m
			if m.Kind != "Namespace" && m.Metadata.Namespace != "mailpush" {
				t.Errorf("%s: %s %s is in no namespace of ours", file, m.Kind, m.Metadata.Name)
			}
		}
	}
	settingsFile := filepath.Join(t.TempDir(), "mailpush.yaml")
	if err := os.WriteFile(settingsFile, []byte(objects["ConfigMap/mailpush"].Data["mailpush.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, service := range identity.Services() {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			checkDeployment(t, objects, service, settingsFile)
		})
	}
}

func checkDeployment(t *testing.T, objects map[string]manifest, service, settingsFile string) {
	t.Helper()
	deployment, ok := objects["Deployment/"+service]
	if !ok {
		t.Fatal("there is no Deployment of it")
	}
	pod := deployment.Spec.Template.Spec
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("want enableServiceLinks: false: else Kubernetes sets variables of its own")
	}
	c := pod.Containers[0]
	if c.Image != "mailpush/"+service {
		t.Errorf("the image is %s", c.Image)
	}
	if want := []string{"--config", "/etc/mailpush/config/mailpush.yaml"}; !slices.Equal(c.Args, want) {
		t.Errorf("the arguments are %q, want %q", c.Args, want)
	}
	var environ []string
	for _, variable := range c.Env {
		environ = append(environ, variable.Name+"="+strings.ReplaceAll(variable.Value, "$(POD_IP)", "10.0.0.1"))
	}
	s := load(t, service, settingsFile, environ, nil)

	listening := ports(t, service, s)
	declared := map[string]string{}
	for _, port := range c.Ports {
		declared[port.Name] = strconv.Itoa(port.ContainerPort)
	}
	if !maps.Equal(declared, listening) {
		t.Errorf("it declares the ports %v and listens on %v", declared, listening)
	}
	if c.ReadinessProbe.HTTPGet != (struct{ Path, Port string }{"/readyz", "ops"}) ||
		c.LivenessProbe.HTTPGet != (struct{ Path, Port string }{"/healthz", "ops"}) {
		t.Error("want /readyz and /healthz of the port ops as probes")
	}
	if got := deployment.Spec.Template.Metadata.Annotations["prometheus.io/port"]; got != listening["ops"] {
		t.Errorf("metrics are looked for on port %s, and are on %s", got, listening["ops"])
	}
	for _, file := range files(service, s) {
		if !slices.ContainsFunc(c.VolumeMounts, func(m struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		},
		) bool {
			return filepath.Dir(file) == m.MountPath && slices.Contains(pod.Volumes, struct{ Name string }{m.Name})
		}) {
			t.Errorf("it needs %s, which no volume brings", file)
		}
	}
	checkPeers(t, objects, peers(s))
}

// checkPeers proves that where a service looks for the others, there is a Service of
// theirs with this port.
func checkPeers(t *testing.T, objects map[string]manifest, addresses map[string][]string) {
	t.Helper()
	for peer, addresses := range addresses {
		for _, address := range addresses {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, p := range objects["Service/"+host].Spec.Ports {
				found = found || host == peer && strconv.Itoa(p.Port) == port && p.Name == "internal"
			}
			if !found {
				t.Errorf("it looks for %s at %s, where no Service is", peer, address)
			}
		}
	}
}
