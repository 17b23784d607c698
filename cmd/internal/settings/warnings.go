// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"net/url"
	"slices"

	"mailpush.internal/pkg/identity"
)

// Warnings are what an operator should mend although the service starts with it: files with
// secrets that more may read than need to, and etcd in clear text on a network.
func (s *Settings) Warnings(service string) []string {
	warnings, _ := judgeFiles(s.ownSecretFiles(service), mounted)
	return append(warnings, s.clearTextEtcd(service)...)
}

// warningsSingle are the Warnings of a whole mailpush in one process, whose etcd is its own.
func (s *Settings) warningsSingle() []string {
	warnings, _ := judgeFiles(s.secretFiles(identity.Services()...), mounted)
	return warnings
}

// ClearText warns that a setting has a service speak to a host in clear text, and says what
// prevents it. Without a host there is nothing to warn of.
func ClearText(key, host, remedy string) []string {
	if host == "" {
		return nil
	}
	return []string{fmt.Sprintf("%s: what goes to %s crosses the network in CLEAR TEXT, or may do so; set %s", key, host, remedy)}
}

// clearTextEtcd is for the services that speak to etcd.
func (s *Settings) clearTextEtcd(service string) []string {
	const key = "cluster.etcd.endpoints"
	if !slices.Contains(uptakeOf(key).Restart, service) {
		return nil
	}
	var warnings []string
	for i, endpoint := range s.Cluster.Etcd.Endpoints {
		if u, err := url.Parse(endpoint); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			warnings = append(warnings, ClearText(item(key, i), u.Host, "https:// and cluster.etcd.caFile")...)
		}
	}
	return warnings
}
