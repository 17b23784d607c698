// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/pkg/secret"
)

// api calls mailpush as any application would: plain JSON over HTTP POST.
type api struct {
	url      string
	password secret.String
}

const maxAnswerBytes = 1 << 20

// call posts request to procedure, e.g. mailpush.push.v1.PushService/Subscribe, and
// decodes the answer.
func (a api) call(ctx context.Context, procedure string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("calling %s: %w", procedure, err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/"+procedure, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("calling %s: %w", procedure, err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.SetBasicAuth(allinone.AdminName, a.password.Reveal())
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return fmt.Errorf("calling %s: %w", procedure, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("calling %s: %w", procedure, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("calling %s: %w", procedure, errors.New(string(text)))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", procedure, err)
	}
	return nil
}

// subscription is what the demo needs of Subscribe's answer.
type subscription struct {
	SubscriptionID string `json:"subscriptionId"`
	Permanent      bool   `json:"permanent"`
	Reason         string `json:"reason"`
	WebhookSecret  string `json:"webhookSecret"`
}

// subscribe subscribes the demo user's new mail to the demo receiver. The secret
// may be empty: then the answer brings one.
func (s *stage) subscribe(ctx context.Context, webhookSecret string) (subscription, error) {
	webhook := map[string]string{"url": s.receiver.url}
	if webhookSecret != "" {
		webhook["secret"] = webhookSecret
	}
	var answer subscription
	err := s.api.call(ctx, "mailpush.push.v1.PushService/Subscribe", map[string]any{
		"contextId": demoContext,
		"userId":    demoUser,
		"clientId":  demoClient,
		"topics":    []string{"mail:new"},
		"content":   "CONTENT_ENVELOPE",
		"account":   map[string]string{"mailStore": demoStore, "login": demoLogin, "password": s.password},
		"webhook":   webhook,
	}, &answer)
	if err == nil && !answer.Permanent {
		err = errors.New("no permanent listener: " + answer.Reason)
	}
	return answer, err
}
