// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// callers are who calls a service by its internal port, as ARCHITECTURE.md has it; workers
// pass on to each other what mail stores tell.
var callers = map[string][]string{
	"admin-api":        {"listener-worker", "scheduler"},
	"credential-vault": {"admin-api", "listener-worker"},
	"scheduler":        {"admin-api"},
	"listener-worker":  {"admin-api", "listener-worker"},
}

// checkPolicies tries every port of every pod from every pod, and from elsewhere.
func (w world) checkPolicies(found *findings) {
	if len(w.policies) == 0 {
		return // switched off
	}
	elsewhere := labels.Set{"app": "somebody-else"}
	for _, d := range w.deployments {
		to := labels.Set(d.Spec.Template.Labels)
		for _, port := range d.Spec.Template.Spec.Containers[0].Ports {
			open := slices.Contains([]string{"public", "notify", "mailnotify"}, port.Name)
			if got := w.mayReach(elsewhere, to, port.Name); got != open && !w.narrowed(to, port.Name) {
				found.add("anybody may reach the port %s of %s: %v, want %v", port.Name, d.Name, got, open)
			}
			for _, from := range w.deployments {
				want := open || port.Name == "internal" && slices.Contains(callers[component(d)], component(from))
				if got := w.mayReach(labels.Set(from.Spec.Template.Labels), to, port.Name); got != want && !w.narrowed(to, port.Name) {
					found.add("%s may reach the port %s of %s: %v, want %v", from.Name, port.Name, d.Name, got, want)
				}
			}
		}
	}
	for _, p := range w.policies {
		if len(p.Spec.PolicyTypes) != 1 || p.Spec.PolicyTypes[0] != networkingv1.PolicyTypeIngress {
			found.add("the NetworkPolicy %s is for %v", p.Name, p.Spec.PolicyTypes)
		}
	}
}

// mayReach tells whether a pod in the same namespace may reach a port of another.
func (w world) mayReach(from, to labels.Set, port string) bool {
	isolated := false
	for _, p := range w.policies {
		if !matches(&p.Spec.PodSelector, to) {
			continue
		}
		isolated = true
		for _, rule := range p.Spec.Ingress {
			if ruleHas(rule, port) && ruleTakes(rule, from) {
				return true
			}
		}
	}
	return !isolated
}

// narrowed tells whether values name who may reach a port from outside.
func (w world) narrowed(to labels.Set, port string) bool {
	if port == "internal" {
		return false
	}
	for _, p := range w.policies {
		for _, rule := range p.Spec.Ingress {
			if matches(&p.Spec.PodSelector, to) && len(rule.Ports) == 1 && ruleHas(rule, port) && len(rule.From) > 0 {
				return true
			}
		}
	}
	return false
}

func ruleHas(rule networkingv1.NetworkPolicyIngressRule, port string) bool {
	return len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Port != nil && p.Port.StrVal == port
	})
}

func ruleTakes(rule networkingv1.NetworkPolicyIngressRule, from labels.Set) bool {
	return len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.PodSelector != nil && peer.NamespaceSelector == nil && matches(peer.PodSelector, from)
	})
}

func matches(selector *metav1.LabelSelector, pod labels.Set) bool {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(pod)
}
