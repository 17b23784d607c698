// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// readers says which services read the files of a setting, by the beginning of its key.
var readers = map[string][]string{
	"cluster.etcd.":                  {"admin-api", "listener-worker", "scheduler"},
	"admin.":                         {"admin-api"},
	"vault.":                         {"credential-vault"},
	"push.credstorage.passcryptFile": {"credential-vault"},
	"mail.masterPasswordFile":        {"credential-vault"},
	"mail.stores.*.caFile":           {"admin-api"},
	"mail.stores.*.doveadm.caFile":   {"admin-api"},
	"mail.stores.*.doveadm.apiKey":   {"listener-worker"},
	"push.webhook.rules":             {"listener-worker"},
	"worker.":                        {"listener-worker"},
}

// checkFiles expects each pod to have the files that its settings name, and no secret that
// it does not read.
func (w world) checkFiles(found *findings) {
	for _, d := range w.deployments {
		there, wanted := mountedFiles(d), w.filesOf(component(d), found)
		for _, file := range slices.Sorted(maps.Keys(wanted)) {
			if !there[file] {
				found.add("%s: %s names %s, which no volume brings", d.Name, wanted[file], file)
			}
		}
		for _, file := range slices.Sorted(maps.Keys(there)) {
			if wanted[file] == "" {
				found.add("%s: a volume brings %s, which it does not read", d.Name, file)
			}
		}
	}
}

// filesOf are the files that a service reads, with the setting that says so.
func (w world) filesOf(service string, found *findings) map[string]string {
	identity := w.text("identity.dir")
	files := map[string]string{"/etc/mailpush/config/mailpush.yaml": "--config"}
	for _, name := range []string{"ca.crt", service + ".crt", service + ".key"} {
		files[path.Join(identity, name)] = "identity.dir"
	}
	walk("", w.config, func(key, value string) {
		if !strings.HasSuffix(key, "File") || value == "" {
			return
		}
		for beginning, services := range readers {
			if matched, _ := path.Match(beginning+"*", anyStore(key)); matched || strings.HasPrefix(key, beginning) {
				if slices.Contains(services, service) {
					files[value] = key
				}
				return
			}
		}
		found.add("nobody is known to read the file of %s", key)
	})
	return files
}

// anyStore is a key of a mail store's setting without the name of the mail store.
func anyStore(key string) string {
	parts := strings.Split(key, ".")
	if strings.HasPrefix(key, "mail.stores.") {
		parts[2] = "*"
	}
	return strings.Join(parts, ".")
}

// walk goes over all settings that are text.
func walk(key string, value any, visit func(key, value string)) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			walk(strings.TrimPrefix(key+"."+name, "."), inner, visit)
		}
	case []any:
		for n, inner := range value {
			walk(fmt.Sprintf("%s[%d]", key, n), inner, visit)
		}
	case string:
		visit(key, value)
	}
}

// mountedFiles are the files that volumes bring into the container of a Deployment.
func mountedFiles(d appsv1.Deployment) map[string]bool {
	pod := d.Spec.Template.Spec
	files := map[string]bool{}
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			switch {
			case volume.Name != mount.Name || !mount.ReadOnly:
			case volume.ConfigMap != nil:
				files[path.Join(mount.MountPath, "mailpush.yaml")] = true
			case volume.Projected != nil:
				for _, source := range volume.Projected.Sources {
					for _, item := range source.Secret.Items {
						if source.Secret.Name != "" {
							files[path.Join(mount.MountPath, item.Path)] = true
						}
					}
				}
			}
		}
	}
	return files
}

// The Secrets that the chart expects where values name none are those that
// deployments/README.md says to make.
func TestReadmeMakesTheSecrets(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, service := range components {
		readme = strings.Replace(readme, "mailpush-$s-tls", "mailpush-"+service+"-tls mailpush-$s-tls", 1)
		readme = strings.Replace(readme, "tls/$s.crt", service+".crt "+service+".key tls/$s.crt", 1)
	}
	readme = strings.ReplaceAll(readme, "create secret tls", "create secret tls tls.crt tls.key")
	objects, err := render(chart, readValues(t, "testdata/values/packages.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var found findings
	for _, d := range read(objects, &found).deployments {
		for _, volume := range d.Spec.Template.Spec.Volumes {
			if volume.Projected == nil {
				continue
			}
			for _, source := range volume.Projected.Sources {
				if key := source.Secret.Items[0].Key; !strings.Contains(readme, source.Secret.Name) || !strings.Contains(readme, key) {
					t.Errorf("nobody is told to make the Secret %s with the key %s", source.Secret.Name, key)
				}
			}
		}
	}
}
