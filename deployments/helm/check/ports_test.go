// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"net"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// listening are the settings of the addresses that services listen on, by service and by
// what the port is called.
var listening = map[string]map[string]string{
	"admin-api":        {"public": "admin.listen", "internal": "admin.internalListen", "ops": "admin.opsListen"},
	"credential-vault": {"internal": "vault.listen", "ops": "vault.opsListen"},
	"scheduler":        {"internal": "scheduler.listen", "ops": "scheduler.opsListen"},
	"listener-worker": {
		"internal": "worker.listen", "ops": "worker.opsListen",
		"notify": "worker.notify.listen", "mailnotify": "worker.mailnotify.listen",
	},
}

// checkPorts expects each pod to declare the ports that it listens on, on all interfaces,
// and to be asked for its health where it tells of it.
func (w world) checkPorts(found *findings) {
	for _, d := range w.deployments {
		c := d.Spec.Template.Spec.Containers[0]
		wanted := map[string]string{}
		for name, key := range listening[component(d)] {
			host, port, err := net.SplitHostPort(w.text(key))
			if err != nil {
				continue // not listened to
			}
			wanted[name] = port
			if !net.ParseIP(host).IsUnspecified() {
				found.add("%s: %s is %s: nobody reaches that from outside the pod", d.Name, key, host)
			}
		}
		declared := map[string]string{}
		for _, port := range c.Ports {
			declared[port.Name] = strconv.Itoa(int(port.ContainerPort))
			if udp := port.Protocol == corev1.ProtocolUDP; udp != (port.Name == "mailnotify") {
				found.add("%s: the port %s is %s", d.Name, port.Name, port.Protocol)
			}
		}
		if !maps.Equal(declared, wanted) {
			found.add("%s declares the ports %v and listens on %v", d.Name, declared, wanted)
		}
		if at := d.Spec.Template.Annotations["prometheus.io/port"]; at != "" && at != wanted["ops"] {
			found.add("%s: metrics are looked for on port %s, and are on %s", d.Name, at, wanted["ops"])
		}
		checkProbes(d, wanted["notify"] != "", found)
	}
}

// checkProbes expects pods to be asked at /readyz, of workers that mail stores reach only
// until they have joined: a mail store must find one, whatever is out behind them.
func checkProbes(d appsv1.Deployment, notified bool, found *findings) {
	c := d.Spec.Template.Spec.Containers[0]
	ready, live, startup := pathOf(c.ReadinessProbe), pathOf(c.LivenessProbe), pathOf(c.StartupProbe)
	want := [3]string{"/readyz", "/healthz", ""}
	if notified {
		want = [3]string{"/healthz", "/healthz", "/readyz"}
	}
	if got := [3]string{ready, live, startup}; got != want {
		found.add("%s: the probes ask %q, want %q", d.Name, got, want)
	}
}

func pathOf(probe *corev1.Probe) string {
	if probe == nil || probe.HTTPGet == nil {
		return ""
	}
	if probe.HTTPGet.Port.StrVal != "ops" {
		return "another port"
	}
	return probe.HTTPGet.Path
}

// checkServices expects every Service to lead to a port of our pods, and every address of
// the settings to be that of a Service.
func (w world) checkServices(found *findings) {
	for _, s := range w.services {
		pods := w.selected(s.Spec.Selector)
		if len(pods) == 0 {
			found.add("the Service %s leads to no pod", s.Name)
		}
		for _, port := range s.Spec.Ports {
			for _, d := range pods {
				if !has(d, port.TargetPort.StrVal, port.Protocol) {
					found.add("the Service %s leads to the port %s of %s, which there is not", s.Name, port.TargetPort.StrVal, d.Name)
				}
			}
		}
	}
	for key, name := range map[string]string{
		"admin.internalAddress": "admin-api", "vault.address": "credential-vault", "scheduler.address": "scheduler",
	} {
		addresses, _ := w.setting(key).([]any)
		if len(addresses) == 0 {
			found.add("%s names nothing", key)
		}
		for _, address := range addresses {
			text, _ := address.(string)
			host, port, err := net.SplitHostPort(text)
			if err != nil || !w.leads(host, port, name) {
				found.add("%s: no Service at %s leads to %s", key, text, name)
			}
		}
	}
}

// leads tells whether a Service leads to the internal port of a service.
func (w world) leads(host, port, name string) bool {
	s := w.services[host]
	pods := w.selected(s.Spec.Selector)
	for _, p := range s.Spec.Ports {
		if strconv.Itoa(int(p.Port)) == port && p.TargetPort.StrVal == "internal" && len(pods) > 0 && component(pods[0]) == name {
			return true
		}
	}
	return false
}

// selected are the Deployments whose pods have some labels.
func (w world) selected(some map[string]string) []appsv1.Deployment {
	var pods []appsv1.Deployment
	for _, d := range w.deployments {
		if len(some) > 0 && labels.SelectorFromSet(some).Matches(labels.Set(d.Spec.Template.Labels)) {
			pods = append(pods, d)
		}
	}
	return pods
}

func has(d appsv1.Deployment, port string, protocol corev1.Protocol) bool {
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		if p.Name == port && (p.Protocol == protocol || p.Protocol == "" && protocol != corev1.ProtocolUDP) {
			return true
		}
	}
	return false
}
