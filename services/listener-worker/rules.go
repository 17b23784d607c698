// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker

import "mailpush.internal/services/listener-worker/internal/webhook"

// WebhookRule says who may vouch for the endpoints of an origin, and which certificate they
// are shown. The files are read again when they change.
type WebhookRule struct {
	// Origin is https://host or https://host:port; *. in front of the host means every host
	// below it. The most specific rule counts.
	Origin string
	// CAFile holds the authorities that vouch for the endpoints, instead of the system's;
	// may be empty.
	CAFile string
	// CertFile and KeyFile hold the client certificate; may be empty, both of them.
	CertFile, KeyFile string
}

// CheckWebhookRules tells what New would refuse of rules, by the operator's keys. It reads
// their files.
func CheckWebhookRules(rules []WebhookRule) error {
	_, err := webhook.NewRules(ruleFiles(rules))
	return err
}

func ruleFiles(rules []WebhookRule) []webhook.RuleFiles {
	out := make([]webhook.RuleFiles, len(rules))
	for n, rule := range rules {
		out[n] = webhook.RuleFiles(rule)
	}
	return out
}
