// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
	"mailpush.internal/services/listener-worker/internal/transport"
)

// The types of a body.
const (
	typeNewMail = "mail:new"
	typeReset   = "mailbox:reset"
	typePing    = "ping"
	typeTest    = "test"
	typeEnding  = "subscription:ending"
)

// body is what a webhook receives. Its names are part of the public API.
type body struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

type data struct {
	ContextID   string  `json:"contextId"`
	UserID      string  `json:"userId"`
	Folder      string  `json:"folder"`
	UIDValidity uint32  `json:"uidValidity"`
	Events      []event `json:"events,omitempty"` // left out at content level STATE
	Count       int     `json:"count"`
	Unread      uint32  `json:"unread"`
	Cursor      uint32  `json:"cursor"` // the last UID this push speaks for
}

type event struct {
	ID  string `json:"id"`
	UID uint32 `json:"uid"`
	*envelope
}

// envelope is left out at content level IDS.
type envelope struct {
	From       string    `json:"from"`
	Subject    string    `json:"subject"`
	ReceivedAt time.Time `json:"receivedAt,omitzero"` // left out when the mail store does not say
	Size       *int64    `json:"size,omitempty"`      // left out when the mail was told of and not read
}

// encode writes the body of a push at the subscription's content level.
func encode(instance string, push transport.Push) ([]byte, error) {
	batch := push.Batch
	out := body{
		Type:      typeNewMail,
		Timestamp: batch.Noticed.UTC(),
		Data: data{
			ContextID:   push.User.Context,
			UserID:      push.User.ID,
			Folder:      push.Folder,
			UIDValidity: batch.UIDValidity,
			Events:      events(instance, push),
			Count:       batch.Count,
			Unread:      batch.Unread,
			Cursor:      batch.Upto,
		},
	}
	if batch.Reset {
		out.Type = typeReset
	}
	return marshal(out)
}

func marshal(out body) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false) // it is no HTML, and people read it
	if err := encoder.Encode(out); err != nil {
		return nil, fmt.Errorf("encoding a push: %w", err)
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

func envelopeOf(mail mailbox.Mail) *envelope {
	out := &envelope{From: mail.From, Subject: mail.Subject, ReceivedAt: mail.ReceivedAt.UTC()}
	if mail.Size != mailbox.SizeUnknown {
		out.Size = &mail.Size
	}
	return out
}

func events(instance string, push transport.Push) []event {
	if push.Content == mailv1.Content_CONTENT_STATE {
		return nil
	}
	batch := push.Batch
	out := make([]event, 0, len(batch.Mails))
	for _, mail := range batch.Mails {
		entry := event{
			ID:  transport.EventID(instance, push.User.Context, push.User.ID, push.Folder, batch.UIDValidity, mail.UID),
			UID: mail.UID,
		}
		if push.Content != mailv1.Content_CONTENT_IDS {
			entry.envelope = envelopeOf(mail)
		}
		out = append(out, entry)
	}
	return out
}
