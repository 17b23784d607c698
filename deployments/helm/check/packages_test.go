// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
)

// checkPackages expects workers to be capable of the packages that are enabled, and of no
// other, and to listen where only those need it.
func (w world) checkPackages(values map[string]any, found *findings) {
	status := map[string]string{"dovecot": "disabled", "imapidle": "enabled", "mailnotify": "disabled"}
	packages, _ := values["packages"].(map[string]any)
	given, _ := packages["status"].(map[string]any)
	var want []string
	for _, backend := range []string{"dovecot", "imapidle", "mailnotify"} {
		if switched, ok := given["push-"+backend]; ok {
			status[backend] = fmt.Sprint(switched)
		}
		if status[backend] == "enabled" {
			want = append(want, backend)
		}
	}
	var got []string
	backends, _ := w.setting("worker.backends").([]any)
	for _, backend := range backends {
		got = append(got, fmt.Sprint(backend))
	}
	if !slices.Equal(got, want) {
		found.add("workers are capable of %v, want %v", got, want)
	}
	stores, _ := w.setting("mail.stores").(map[string]any)
	for name := range stores {
		if backend := w.text("mail.stores." + name + ".backend"); !slices.Contains(want, backend) {
			found.add("the mail store %s has the backend %q, which no worker has", name, backend)
		}
	}
	for backend, key := range map[string]string{"dovecot": "worker.notify", "mailnotify": "worker.mailnotify"} {
		_, served := w.services[w.configName+"-"+map[string]string{"dovecot": "notify", "mailnotify": "mailnotify"}[backend]]
		if on := slices.Contains(want, backend); w.text(key+".listen") != "" != on || served != on {
			found.add("%s is there: %v, and its Service: %v; want %v", key, w.text(key+".listen") != "", served, on)
		}
	}
}
