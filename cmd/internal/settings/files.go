// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/identity"
)

// readers are the settings whose files a service reads when it starts, by how their keys
// begin.
func readers() map[string][]string {
	return map[string][]string{
		identity.Admin:     {"cluster.etcd.", "admin."},
		identity.Scheduler: {"cluster.etcd.", "scheduler."},
		identity.Vault:     {"push.credstorage.", "mail.master", "vault."},
		identity.Worker:    {"cluster.etcd.", "worker."},
	}
}

// files are the settings that name a file.
func (s *Settings) files() map[string]string {
	files := make(map[string]string)
	for _, leaf := range config.Leaves(s) {
		if name, ok := reflect.TypeAssert[string](leaf.Value); ok && name != "" && strings.HasSuffix(leaf.Key, "File") {
			files[leaf.Key] = name
		}
	}
	return files
}

// validateFiles refuses names that are a slip of the pen. Whether the files are there is
// for the machine to say on which they are read.
func (s *Settings) validateFiles(p *problems) {
	for key, name := range s.files() {
		if strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
			p.add(key, "%q: want the path of a file, without space around it", name)
		}
	}
}

// explainFiles tells which files the service would not find here.
func (s *Settings) explainFiles(line liner, service string) {
	var missing []string
	for key, name := range s.files() {
		reads := slices.ContainsFunc(readers()[service], func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if _, err := os.Stat(name); reads && err != nil {
			missing = append(missing, key+": "+name)
		}
	}
	slices.Sort(missing)
	for _, file := range missing {
		line("note", "%s cannot be read here: %s will not start without it", file, service)
	}
}
