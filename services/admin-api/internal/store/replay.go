// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Replay moves the cursor of a folder back, to before the UID from, and has cursors
// refused that belong to before. NotFound when there is no such subscription; Invalid
// when nothing has been served in the folder, or not up to there. The number of the replay
// is what tells old cursors from new ones: the worker hears of it later, and may store
// cursors until then.
func (s *Store) Replay(ctx context.Context, id, folder string, from uint32) (registry.Cursor, error) {
	var out registry.Cursor
	// The subscription's row is locked first, as it is by who commits cursors: either
	// the commit comes before and is undone, or it comes after and is refused.
	err := s.change(ctx, id, func(tx *gorm.DB, row *subscriptionRow) (happened registry.HistoryEntry, err error) {
		var cursor cursorRow
		err = tx.Where("subscription_id = ? AND folder_key = ?", id, folderKey(folder)).Take(&cursor).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return happened, fault.Field("folder", "nothing has been served in %q yet", folder)
		}
		if err != nil {
			return happened, fmt.Errorf("reading the cursor: %w", err)
		}
		if int64(from) > cursor.UID+1 {
			return happened, fault.Field("fromUid", "is above %d: mails up to UID %d have been served", cursor.UID+1, cursor.UID)
		}
		cursor.UID = int64(from) - 1
		if err := tx.Select("uid").Updates(&cursor).Error; err != nil {
			return happened, fmt.Errorf("storing the cursor: %w", err)
		}
		out = cursor.cursor()
		row.Replay++
		return row.happened(registry.Replayed, fmt.Sprintf("%s from UID %d on", folder, from)), nil
	})
	if err != nil {
		return registry.Cursor{}, fmt.Errorf("replaying subscription %s: %w", id, err)
	}
	return out, nil
}
