// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package workerwire

import (
	"mailpush.internal/cmd/internal/settings"
	worker "mailpush.internal/services/listener-worker"
)

// Check tells which webhook rules in the settings a worker would refuse to start with, by
// their keys. It reads their files.
func Check(s *settings.Settings) error { return worker.CheckWebhookRules(webhookRules(s)) }

func webhookRules(s *settings.Settings) []worker.WebhookRule {
	out := make([]worker.WebhookRule, len(s.Push.Webhook.Rules))
	for n, rule := range s.Push.Webhook.Rules {
		out[n] = worker.WebhookRule(rule)
	}
	return out
}
