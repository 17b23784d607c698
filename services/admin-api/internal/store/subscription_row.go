// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

// subscriptionRow is a subscription without its cursors. Moments are microseconds
// since 1970, 0 for none.
type subscriptionRow struct {
	ID                  string `gorm:"primaryKey"`
	UserKey             string
	Cell                int64
	ClientID            string
	DeviceID            string
	Topics              string
	Content             int32
	Mode                int32
	WebhookURL          string `gorm:"column:webhook_url"`
	Origin              string
	Signature           string
	SecretVersion       int64
	SecretSlot          int32
	PreviousSecretUntil int64
	Confirmed           bool
	FailingSince        int64
	LastError           string
	Replay              int64
	Revision            int64
	Disabled            bool
	DisabledReason      string
	DisabledAt          int64
	CreatedAt           int64 `gorm:"autoCreateTime:false"`
}

func (subscriptionRow) TableName() string { return "subscriptions" }

func newSubscriptionRow(s registry.Subscription) subscriptionRow {
	return subscriptionRow{
		ID: s.ID, UserKey: s.Key(), Cell: int64(s.Cell()), ClientID: s.Client, DeviceID: s.Device,
		Topics: strings.Join(s.Topics, " "), Content: s.Content, Mode: s.Mode, WebhookURL: s.WebhookURL,
		Origin: s.Endpoint.Origin, Confirmed: s.Endpoint.Confirmed,
		FailingSince: micros(s.Endpoint.FailingSince), LastError: clip(s.Endpoint.LastError),
		Signature: string(s.Signing.Scheme), SecretVersion: signed(s.Signing.Version),
		SecretSlot: int32(s.Signing.Slot), PreviousSecretUntil: micros(s.Signing.PreviousUntil),
		Replay: signed(s.Replay), Revision: signed(s.Revision),
		Disabled: s.Disabled.Is, DisabledReason: clip(s.Disabled.Reason), DisabledAt: micros(s.Disabled.At),
		CreatedAt: s.CreatedAt.UnixMicro(),
	}
}

func (r subscriptionRow) subscription(user registry.UserID, cursors []registry.Cursor) registry.Subscription {
	return registry.Subscription{
		ID: r.ID, UserID: user, Client: r.ClientID, Device: r.DeviceID, Topics: strings.Fields(r.Topics),
		Content: r.Content, Mode: r.Mode, WebhookURL: r.WebhookURL,
		Signing: registry.Signing{
			Scheme: registry.Scheme(r.Signature), Version: unsigned(r.SecretVersion),
			Slot: uint32(r.SecretSlot), PreviousUntil: moment(r.PreviousSecretUntil),
		},
		Endpoint: registry.Endpoint{
			Origin: r.Origin, Confirmed: r.Confirmed, FailingSince: moment(r.FailingSince), LastError: r.LastError,
		},
		Replay: unsigned(r.Replay), Revision: unsigned(r.Revision),
		Disabled: registry.Disabled{Is: r.Disabled, Reason: r.DisabledReason, At: moment(r.DisabledAt)},
		Cursors:  cursors, CreatedAt: time.UnixMicro(r.CreatedAt).UTC(),
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// clip keeps what others have said within its column.
func clip(s string) string {
	const limit = 512
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?") // PostgreSQL takes neither
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}
