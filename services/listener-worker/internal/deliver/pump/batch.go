// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	// MaxMails bounds the mails of one batch.
	MaxMails = 100
	// MaxBytes bounds the weight of one batch. A single mail always fits.
	MaxBytes = 20 << 10
	// maxText bounds sender and subject of one mail.
	maxText = 1000
	// mailOverhead is what a mail weighs beside its texts: names, id, numbers, time.
	mailOverhead = 160
)

// inRange is those of the mails that lie in [from, upto], ascending by UID.
func inRange(mails []mailbox.Mail, from, upto uint32) []mailbox.Mail {
	var out []mailbox.Mail
	for _, mail := range mails {
		if mail.UID >= from && mail.UID <= upto {
			mail.From, mail.Subject = clip(mail.From, maxText), clip(mail.Subject, maxText)
			out = append(out, mail)
		}
	}
	slices.SortFunc(out, func(a, b mailbox.Mail) int { return cmp.Compare(a.UID, b.UID) })
	return slices.CompactFunc(out, func(a, b mailbox.Mail) bool { return a.UID == b.UID })
}

// cut takes from mails what lies in [from, upto] and fits into one batch of at most so
// many. It returns the mails and the last UID they speak for.
func cut(mails []mailbox.Mail, from, upto uint32, most int) ([]mailbox.Mail, uint32) {
	out := inRange(mails, from, upto)
	weight := 0
	for i, mail := range out {
		weight += mailOverhead + len(mail.From) + len(mail.Subject)
		if i > 0 && (i == most || weight > MaxBytes) {
			return slices.Clone(out[:i]), out[i-1].UID // the rest is not kept while the batch is out
		}
	}
	return out, upto
}

// clip shortens a text to at most so many bytes, without splitting a rune. It does not
// keep the rest.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.Clone(text[:end])
}
