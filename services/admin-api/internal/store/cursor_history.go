// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// committed is what has happened by a commit: resets, and mails that were stepped over. A
// commit that only moves cursors, as nearly all do, reads and writes nothing for it.
func committed(
	tx *gorm.DB, batch []registry.ShardCursors, known map[string]subscriptionRow, shards uint32,
) ([]registry.HistoryEntry, error) {
	var of []subscriptionRow
	var happened []registry.HistoryEntry
	for _, b := range batch {
		for _, c := range b.Cursors {
			row := known[c.Subscription]
			if c.ResetFrom != (registry.Cursor{}) && row.ofShard(b.Claim, shards) && unsigned(row.Replay) == c.Replay {
				of, happened = append(of, row), append(happened, reset(c))
			}
		}
		stepped := make(map[string][]registry.DeadLetter)
		for _, d := range b.DeadLetters {
			stepped[d.Subscription] = append(stepped[d.Subscription], d)
		}
		for id, letters := range stepped {
			if row := known[id]; row.ofShard(b.Claim, shards) {
				of, happened = append(of, row), append(happened, row.steppedOver(letters))
			}
		}
	}
	if len(happened) == 0 {
		return nil, nil
	}
	return owned(tx, of, happened)
}

// reset is a folder that was renumbered, or whose UIDs went back or came back. It is about
// the folder: each of the user's subscriptions is told, and may be at a time of its own.
func reset(c registry.SubscriptionCursor) registry.HistoryEntry {
	was, is := c.ResetFrom, c.Cursor
	text := fmt.Sprintf("%s: UIDVALIDITY %d became %d, pushes go on after UID %d", is.Folder, was.UIDValidity, is.UIDValidity, is.UID)
	if was.UIDValidity == is.UIDValidity {
		text = fmt.Sprintf("%s: UIDVALIDITY is %d still, pushes go on after UID %d in place of %d", is.Folder, is.UIDValidity, is.UID, was.UID)
	}
	merge := fmt.Sprintf("%d %d %s", was.UIDValidity, is.UIDValidity, is.Folder)
	return registry.HistoryEntry{Kind: registry.MailboxReset, Reason: text, Merge: merge}
}

// steppedOver is one entry for all the dead letters of a commit, whose listing has them one
// by one.
func (r subscriptionRow) steppedOver(letters []registry.DeadLetter) registry.HistoryEntry {
	last := letters[len(letters)-1]
	text := fmt.Sprintf("UID %d of %s", last.Last, last.Folder)
	switch last.First {
	case last.Last:
	case 0:
		text = "the mailbox:reset of " + last.Folder
	default:
		text = fmt.Sprintf("UIDs %d to %d of %s", last.First, last.Last, last.Folder)
	}
	if n := len(letters); n > 1 {
		text = fmt.Sprintf("%d ranges of mails, the last %s", n, text)
	}
	entry := r.happened(registry.DeadLettersMade, text+": "+last.Reason)
	entry.Merge, entry.At = r.ID, last.At
	return entry
}
