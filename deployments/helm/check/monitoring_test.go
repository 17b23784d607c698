// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// checkMonitoring expects the rules to be those of deployments/monitoring, and the monitor
// to find every pod's port.
func (w world) checkMonitoring(t *testing.T, found *findings) {
	t.Helper()
	if rule := w.operated["PrometheusRule"]; rule != nil {
		text, err := os.ReadFile(filepath.Join(repository, "deployments", "monitoring", "alerts.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var alerts map[string]any
		if err := yaml.UnmarshalStrict(text, &alerts); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(rule["spec"], alerts) {
			found.add("the PrometheusRule has other rules than deployments/monitoring/alerts.yaml")
		}
	}
	if w.operated["ServiceMonitor"] == nil {
		return
	}
	var monitor struct {
		Spec struct {
			Selector  struct{ MatchLabels map[string]string }
			Endpoints []struct{ Port, Path string }
		}
	}
	text, err := json.Marshal(w.operated["ServiceMonitor"])
	if err != nil || json.Unmarshal(text, &monitor) != nil || len(monitor.Spec.Endpoints) != 1 {
		found.add("the ServiceMonitor cannot be read")
		return
	}
	scraped := 0
	for _, s := range w.services {
		if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
			continue
		}
		scraped++
		if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool {
			return p.Name == monitor.Spec.Endpoints[0].Port && p.TargetPort.StrVal == "ops"
		}) || len(w.selected(s.Spec.Selector)) != len(w.deployments) {
			found.add("the ServiceMonitor does not find every pod by the Service %s", s.Name)
		}
	}
	if scraped != 1 || monitor.Spec.Endpoints[0].Path != "/metrics" {
		found.add("the ServiceMonitor scrapes %d Services at %s", scraped, monitor.Spec.Endpoints[0].Path)
	}
}
