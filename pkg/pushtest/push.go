// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The types of a push.
const (
	TypeNewMail = "mail:new"
	TypeReset   = "mailbox:reset"
	TypePing    = "ping"
	TypeTest    = "test"
	TypeEnding  = "subscription:ending"
)

// Push is one request to a receiver.
type Push struct {
	At     time.Time // when its header had arrived
	Path   string    // without the slash before it
	Header http.Header
	Body   []byte

	Type string
	Data Data
	Err  error // why the body is none; nil for every push that mailpush makes
}

// Data is what a push tells. Which fields are set depends on its type and on what its
// subscription asks for.
type Data struct {
	ContextID   string  `json:"contextId"`
	UserID      string  `json:"userId"`
	Folder      string  `json:"folder"`
	UIDValidity uint32  `json:"uidValidity"`
	Events      []Event `json:"events"`
	Count       int     `json:"count"`
	Unread      uint32  `json:"unread"`
	Cursor      uint32  `json:"cursor"`
	Challenge   string  `json:"challenge"` // of a ping
}

// Event is one mail.
type Event struct {
	ID         string    `json:"id"`
	UID        uint32    `json:"uid"`
	From       string    `json:"from"`
	Subject    string    `json:"subject"`
	ReceivedAt time.Time `json:"receivedAt"`
	Size       int64     `json:"size"`
}

// decode reads the body.
func (p *Push) decode() error {
	content := struct {
		Type *string `json:"type"`
		Data *Data   `json:"data"`
	}{&p.Type, &p.Data}
	if err := json.Unmarshal(p.Body, &content); err != nil {
		return fmt.Errorf("reading the body of a push: %w", err)
	}
	return nil
}

// Verify checks the signature by a secret as Subscribe returns it, which begins with
// whsec_.
func (p *Push) Verify(secret string) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("reading the signing secret: %w", err)
	}
	if err := webhook.Verify(p.Body, p.Header); err != nil {
		return fmt.Errorf("verifying the signature of a push: %w", err)
	}
	return nil
}

// ID is the same for each try of one push.
func (p *Push) ID() string { return p.Header.Get(standardwebhooks.HeaderWebhookID) }

// Signatures counts those that the push bears: there are two while a secret is replaced.
func (p *Push) Signatures() int {
	return len(strings.Fields(p.Header.Get(standardwebhooks.HeaderWebhookSignature)))
}

// Match is a condition on a push.
type Match func(*Push) bool

func (p *Push) is(all []Match) bool {
	return !slices.ContainsFunc(all, func(match Match) bool { return !match(p) })
}

// OfType matches the pushes of a type.
func OfType(of string) Match { return func(p *Push) bool { return p.Type == of } }

// Not matches what another condition does not.
func Not(match Match) Match { return func(p *Push) bool { return !match(p) } }

// To matches the pushes to a path.
func To(path string) Match {
	path = strings.TrimPrefix(path, "/")
	return func(p *Push) bool { return p.Path == path }
}

// About matches the pushes that tell of a mail with a subject.
func About(subject string) Match {
	return func(p *Push) bool {
		return slices.ContainsFunc(p.Data.Events, func(e Event) bool { return e.Subject == subject })
	}
}
