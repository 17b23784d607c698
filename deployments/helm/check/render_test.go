// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// object is one object as helm template prints it, and the template that made it.
type object struct{ template, text string }

// render is helm template: the values are held against the schema first.
func render(dir string, values map[string]any) ([]object, error) {
	loaded, err := loader.LoadDir(dir)
	if err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(loaded, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue // the notes
		}
		for _, text := range regexp.MustCompile(`(?m)^---\s*$`).Split(files[name], -1) {
			var content any
			if yaml.Unmarshal([]byte(text), &content) == nil && content == nil {
				continue // comments alone
			}
			objects = append(objects, object{template: path.Base(name), text: text})
		}
	}
	return objects, nil
}

// world is what is rendered, as Kubernetes would take it.
type world struct {
	config      map[string]any // mailpush.yaml
	configText  string
	configName  string
	deployments []appsv1.Deployment
	services    map[string]corev1.Service
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
	operated    map[string]map[string]any // of the Prometheus operator, by kind
}

func read(objects []object, found *findings) world {
	w := world{services: map[string]corev1.Service{}, operated: map[string]map[string]any{}}
	for _, o := range objects {
		var head struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
		}
		if err := yaml.Unmarshal([]byte(o.text), &head); err != nil {
			found.add("%s: %v", o.template, err)
			continue
		}
		if head.Metadata.Namespace == "" {
			found.add("%s: %s %s has no namespace", o.template, head.Kind, head.Metadata.Name)
		}
		if err := take(&w, head.Kind, []byte(o.text)); err != nil {
			found.add("%s: %s %s: %v", o.template, head.Kind, head.Metadata.Name, err)
		}
	}
	return w
}

// take reads one object into w.
func take(w *world, kind string, text []byte) error {
	switch kind {
	case "ServiceMonitor", "PrometheusRule":
		return decode(text, func(o map[string]any) { w.operated[kind] = o })
	case "ConfigMap":
		var c corev1.ConfigMap
		if err := yaml.UnmarshalStrict(text, &c); err != nil {
			return err
		}
		w.configName, w.configText = c.Name, c.Data["mailpush.yaml"]
		return yaml.UnmarshalStrict([]byte(w.configText), &w.config)
	case "Deployment":
		return decode(text, func(d appsv1.Deployment) { w.deployments = append(w.deployments, d) })
	case "Service":
		return decode(text, func(s corev1.Service) { w.services[s.Name] = s })
	case "PodDisruptionBudget":
		return decode(text, func(b policyv1.PodDisruptionBudget) { w.budgets = append(w.budgets, b) })
	case "NetworkPolicy":
		return decode(text, func(p networkingv1.NetworkPolicy) { w.policies = append(w.policies, p) })
	}
	return nil
}

func decode[T any](text []byte, keep func(T)) error {
	var value T
	err := yaml.UnmarshalStrict(text, &value)
	keep(value)
	return err
}

// component is the service that a Deployment runs.
func component(d appsv1.Deployment) string { return d.Labels["app.kubernetes.io/component"] }

// setting is the value of a setting, nil where it is not rendered.
func (w world) setting(key string) any {
	var at any = w.config
	for part := range strings.SplitSeq(key, ".") {
		group, _ := at.(map[string]any)
		at = group[part]
	}
	return at
}

// text is a setting that is text, empty where it is not rendered.
func (w world) text(key string) string {
	text, _ := w.setting(key).(string)
	return text
}
