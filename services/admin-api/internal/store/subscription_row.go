// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"strings"
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
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
	Transport           string
	Address             string `gorm:"column:webhook_url"` // of any transport; see migrate6
	Origin              string
	Signature           string
	SecretVersion       int64
	SecretSlot          int32
	PreviousSecretUntil int64
	PreviousSecretSlot  int32 // otherSlot where nobody has rotated, or an earlier release
	SecretSlotVersion   int64 // the SecretVersion that SecretSlot belongs to
	HeaderNames         string
	HeaderVersion       int64
	HeaderSlot          int32
	Confirmed           bool
	FailingSince        int64
	LastError           string
	Replay              int64
	Revision            int64
	Disabled            bool
	DisabledReason      string
	DisabledAt          int64
	AbsentSince         int64
	AbsentSeen          int64
	GoneAt              int64 // DisabledAt, if that is because the endpoint is gone; see isGone
	CreatedAt           int64 `gorm:"autoCreateTime:false"`
}

func (subscriptionRow) TableName() string { return "subscriptions" }

// isGone tells whether it is kept although its endpoint is gone. An earlier release knows
// no GoneAt, and leaves it when it enables the subscription, and later disables it for
// another reason.
func (r subscriptionRow) isGone() bool {
	return r.Disabled && r.GoneAt != 0 && r.GoneAt == r.DisabledAt
}

// otherSlot stands for the other one of the slots 0 and 1.
const otherSlot = -1

// slot is where the signing secret is. An earlier release that seals one while the row
// names a higher slot than it knows does so in slot 1, and leaves the row at that.
func (r subscriptionRow) slot() int32 {
	known := r.SecretSlot == 0 || r.SecretSlot == 1
	if !known && r.SecretSlotVersion != r.SecretVersion {
		return 1
	}
	return r.SecretSlot
}

// previousSlot is where the secret before the current one is, or was.
func (r subscriptionRow) previousSlot() int32 {
	if r.PreviousSecretSlot != otherSlot {
		return r.PreviousSecretSlot
	}
	return 1 - r.slot()
}

// slots are where the subscription may have secrets in the vault, in force or not: an
// earlier release leaves what it has replaced.
func (r subscriptionRow) slots() []int32 {
	all := []int32{r.slot(), r.previousSlot(), r.SecretSlot}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(slot int32) bool { return slot < 0 })
}

// erasures are the accounts of the slots.
func (r subscriptionRow) erasures(user registry.UserID) []registry.Erasure {
	var out []registry.Erasure
	for _, slot := range r.slots() {
		out = append(out, registry.Erasure{UserID: user, Account: registry.WebhookAccount(r.ID, uint32(slot))})
	}
	return out
}

// with is the row with another secret. That its slot and version belong together is stored
// beside them, for an earlier release changes the one and leaves the other.
func (r subscriptionRow) with(s registry.Signing) subscriptionRow {
	r.Signature, r.SecretVersion, r.SecretSlot = string(s.Scheme), signed(s.Version), int32(s.Slot)
	r.SecretSlotVersion = r.SecretVersion
	r.PreviousSecretUntil, r.PreviousSecretSlot = micros(s.PreviousUntil), otherSlot
	if !s.PreviousUntil.IsZero() {
		r.PreviousSecretSlot = int32(s.PreviousSlot)
	}
	return r
}

// newSubscriptionRow is the row of a subscription, without the cursors.
func newSubscriptionRow(s registry.Subscription) subscriptionRow {
	row := subscriptionRow{
		ID: s.ID, UserKey: s.Key(), Cell: int64(s.Cell()), ClientID: s.Client, DeviceID: s.Device,
		Topics: strings.Join(s.Topics, " "), Content: int32(s.Content), Mode: int32(s.Mode),
		Transport: string(s.Target.Transport), Address: s.Target.Address,
		Origin: s.Endpoint.Origin, Confirmed: s.Endpoint.Confirmed,
		FailingSince: micros(s.Endpoint.FailingSince), LastError: clip(s.Endpoint.LastError),
		Replay: signed(s.Replay), Revision: signed(s.Revision),
		Disabled: s.Disabled.Is, DisabledReason: clip(s.Disabled.Reason), DisabledAt: micros(s.Disabled.At),
		AbsentSince: micros(s.Endpoint.AbsentSince), AbsentSeen: micros(s.Endpoint.AbsentSeen),
		CreatedAt: s.CreatedAt.UnixMicro(),
	}
	if s.Disabled.Gone {
		row.GoneAt = row.DisabledAt
	}
	return row.with(s.Signing).carrying(s.Headers)
}

// subscription is what is stored in the row, of a user that it names by key alone, with
// cursors that are rows of their own.
func (r subscriptionRow) subscription(user registry.UserID, cursors []registry.Cursor) registry.Subscription {
	sub := registry.Subscription{
		ID: r.ID, UserID: user, Client: r.ClientID, Device: r.DeviceID, Topics: strings.Fields(r.Topics),
		Content: mailv1.Content(r.Content), Mode: mailv1.Mode(r.Mode), Target: r.target(),
		Signing: registry.Signing{
			Scheme: registry.Scheme(r.Signature), Version: unsigned(r.SecretVersion),
			Slot: uint32(r.slot()), PreviousUntil: moment(r.PreviousSecretUntil),
		},
		Headers: r.headers(),
		Endpoint: registry.Endpoint{
			Origin: r.Origin, Confirmed: r.Confirmed, FailingSince: moment(r.FailingSince), LastError: r.LastError,
			AbsentSince: moment(r.AbsentSince), AbsentSeen: moment(r.AbsentSeen),
		},
		Replay: unsigned(r.Replay), Revision: unsigned(r.Revision),
		Disabled: registry.Disabled{Is: r.Disabled, Reason: r.DisabledReason, At: moment(r.DisabledAt), Gone: r.isGone()},
		Cursors:  cursors, CreatedAt: time.UnixMicro(r.CreatedAt).UTC(),
	}
	if r.PreviousSecretUntil != 0 {
		sub.Signing.PreviousSlot = uint32(r.previousSlot())
	}
	return sub
}

func (r subscriptionRow) target() registry.Target {
	return registry.Target{Transport: registry.Transport(r.Transport), Address: r.Address}
}

// micros and moment keep the zero time, whose own number of microseconds is far below 0.
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
