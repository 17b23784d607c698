// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// A service takes up to 10 s to end in order; what Kubernetes gives it is never less.
const endsWithin = 15

// checkPlacement expects the pods of a service to keep apart, each Deployment to select its
// own pods alone, and workers to know their zone.
func (w world) checkPlacement(found *findings) {
	for _, d := range w.deployments {
		pod := d.Spec.Template.Spec
		if others := w.selected(d.Spec.Selector.MatchLabels); len(others) != 1 || others[0].Name != d.Name {
			found.add("%s selects the pods of %d Deployments", d.Name, len(others))
		}
		for _, term := range antiAffinity(pod) {
			if chosen := w.selected(term.LabelSelector.MatchLabels); len(chosen) == 0 || component(chosen[0]) != component(d) {
				found.add("%s keeps away from others than its own", d.Name)
			}
		}
		for _, c := range pod.TopologySpreadConstraints {
			if chosen := w.selected(c.LabelSelector.MatchLabels); len(chosen) == 0 || component(chosen[0]) != component(d) {
				found.add("%s is spread among others than its own", d.Name)
			}
		}
		if component(d) == "listener-worker" {
			checkZone(d, found)
		}
	}
	for _, b := range w.budgets {
		if len(w.selected(b.Spec.Selector.MatchLabels)) == 0 {
			found.add("the PodDisruptionBudget %s is for no pod", b.Name)
		}
	}
}

// checkZone expects a worker to say the zone that it is bound to, and else that of its node.
func checkZone(d appsv1.Deployment, found *findings) {
	bound, said := d.Spec.Template.Spec.NodeSelector[corev1.LabelTopologyZone], zone(d)
	switch {
	case bound != "" && said.Value == bound:
	case bound == "" && said.ValueFrom != nil && said.ValueFrom.FieldRef != nil &&
		said.ValueFrom.FieldRef.FieldPath == "metadata.labels['"+corev1.LabelTopologyZone+"']":
	default:
		found.add("%s is bound to the zone %q and says %q", d.Name, bound, said.Value)
	}
}

func antiAffinity(pod corev1.PodSpec) []corev1.PodAffinityTerm {
	if pod.Affinity == nil || pod.Affinity.PodAntiAffinity == nil {
		return nil
	}
	terms := pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	for _, preferred := range pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		terms = append(terms, preferred.PodAffinityTerm)
	}
	return terms
}

// checkEnds expects pods to have the time to end in order, to make room only when another
// serves, to be started anew by other settings, and to be nobody who could do harm.
func (w world) checkEnds(found *findings) {
	for _, d := range w.deployments {
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		var waits int64
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			waits = c.Lifecycle.PreStop.Sleep.Seconds
		}
		if grace := pod.TerminationGracePeriodSeconds; grace == nil || *grace < waits+endsWithin {
			found.add("%s has no time to end in order", d.Name)
		}
		if got, want := w.missing(d); got != want {
			found.add("%s: %d pods make room before others serve, want %d", d.Name, got, want)
		}
		if len(d.Spec.Template.Annotations["checksum/config"]) != 64 {
			found.add("%s goes on with old settings", d.Name)
		}
		if len(c.Resources.Requests) == 0 || c.Resources.Limits.Memory().IsZero() {
			found.add("%s asks for no resources, or has no limit of memory", d.Name)
		}
		checkRights(d.Name, pod, found)
	}
	if text := strings.ToLower(w.configText); strings.Contains(text, "password:") || strings.Contains(text, "passcrypt:") {
		found.add("the settings hold a secret in place")
	}
}

// missing is how many pods of a Deployment may be missing while it changes, and how many it
// must be: all where there must not be two, one where there may be no room for more.
func (w world) missing(d appsv1.Deployment) (got, want int) {
	all := int(*d.Spec.Replicas)
	rolling := d.Spec.Strategy.RollingUpdate
	switch {
	case d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		got = all
	case rolling == nil || rolling.MaxUnavailable == nil:
		got = -1
	default:
		got = rolling.MaxUnavailable.IntValue()
	}
	affinity := d.Spec.Template.Spec.Affinity
	switch {
	case component(d) == "credential-vault" && w.setting("push.credstorage.rdb") == false:
		want = all
	case affinity != nil && affinity.PodAntiAffinity != nil && len(affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0:
		want = 1
	}
	return got, want
}

// checkRights expects what the namespace policy "restricted" demands, and more.
func checkRights(name string, pod corev1.PodSpec, found *findings) {
	s, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	if s == nil || c == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil ||
		c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem ||
		c.Capabilities == nil || len(c.Capabilities.Drop) != 1 || c.Capabilities.Drop[0] != "ALL" {
		found.add("%s may do more than it has to", name)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		found.add("%s has a token for Kubernetes, which it does not use", name)
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		found.add("%s: Kubernetes would set variables of its own that begin with MAILPUSH_", name)
	}
}
