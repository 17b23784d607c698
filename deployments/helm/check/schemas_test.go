// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
)

// foreign are the kinds of the Prometheus operator: Kubernetes has no schema of them.
var foreign = map[string]struct{}{
	"monitoring.coreos.com/v1/ServiceMonitor": {},
	"monitoring.coreos.com/v1/PrometheusRule": {},
}

// newValidator makes a kubeconform that knows the kinds of the pinned Kubernetes, and no
// field that those do not have.
func newValidator(t *testing.T) validator.Validator {
	t.Helper()
	schemas := t.TempDir()
	openAPI := filepath.Join(kubernetes(t), "api", "openapi-spec", "v3")
	for _, group := range []string{"api__v1", "apis__apps__v1", "apis__networking.k8s.io__v1", "apis__policy__v1"} {
		writeSchemas(t, filepath.Join(openAPI, group+"_openapi.json"), schemas)
	}
	v, err := validator.New([]string{schemas + "/{{.ResourceKind}}{{.KindSuffix}}.json"},
		validator.Opts{Strict: true, SkipKinds: foreign})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// kubernetes is the directory of Kubernetes' module, whose checksum the go command knows.
func kubernetes(t *testing.T) string {
	t.Helper()
	version := os.Getenv("KUBERNETES")
	if version == "" {
		t.Fatal("KUBERNETES does not name the module with Kubernetes' OpenAPI: run make lint-chart")
	}
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", version)
	download.Dir, download.Env = t.TempDir(), append(os.Environ(), "GOWORK=off")
	out, err := download.Output()
	if err != nil {
		t.Fatalf("fetching %s: %v\n%s", version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	return module.Dir
}

// writeSchemas makes a JSON schema of each kind that a file of OpenAPI describes. A schema
// brings all of the file's, so that its references lead somewhere.
func writeSchemas(t *testing.T, file, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, schema := range document.Components.Schemas {
		closeObjects(schema)
	}
	for name, schema := range document.Components.Schemas {
		for _, kind := range kindsOf(schema) {
			out, err := json.Marshal(map[string]any{"$ref": "#/components/schemas/" + name, "components": document.Components})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, kind+".json"), out, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// closeObjects lets an object have the fields that are described, and no others.
func closeObjects(schema map[string]any) {
	_, described := schema["properties"]
	_, open := schema["additionalProperties"]
	if described && !open {
		schema["additionalProperties"] = false
	}
}

// kindsOf are the kinds that a schema is of, as kubeconform calls their files.
func kindsOf(schema map[string]any) []string {
	var names []string
	kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
	for _, kind := range kinds {
		k, _ := kind.(map[string]any)
		group, _, _ := strings.Cut(fmt.Sprint(k["group"]), ".")
		names = append(names, strings.ToLower(strings.Join(strings.Fields(fmt.Sprint(k["kind"], " ", group, " ", k["version"])), "-")))
	}
	return names
}

func (tools tools) checkSchemas(t *testing.T, objects []object, found *findings) {
	t.Helper()
	checked := 0
	for _, o := range objects {
		for _, result := range tools.validator.ValidateWithContext(t.Context(), o.template, io.NopCloser(strings.NewReader(o.text))) {
			switch result.Status {
			case validator.Valid:
				checked++
			case validator.Skipped, validator.Empty:
			default:
				found.add("%s: %v %v", o.template, result.Err, result.ValidationErrors)
			}
		}
	}
	if checked == 0 {
		found.add("no object has a schema")
	}
}
