// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Reserve notes an account that is about to be sealed: when nothing has come to name it
// by until, it is erased. Unavailable when it is noted already.
//
// The vault and this database share no transaction, so the note comes before the secret and
// goes in the transaction that names it: whenever a process ends between the two, what it
// has sealed is found, and erased. A note is reserved or kept while due is in the future;
// with due 0 it is given up, which nothing takes back.
func (s *Store) Reserve(ctx context.Context, account registry.Erasure, until time.Time) error {
	row := newErasureRow(account, until.UnixMicro())
	done := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if done.Error != nil {
		return fmt.Errorf("reserving a place in the vault: %w", done.Error)
	}
	if done.RowsAffected == 0 {
		return fault.New(fault.Unavailable, "another call uses the same place in the vault; try again")
	}
	return nil
}

// release takes reserved accounts out of the notes: from now on a row names them. It
// is Unavailable when one of them has come to be erased meanwhile: the secret may be gone.
func release(tx *gorm.DB, accounts []registry.Erasure) error {
	for _, a := range accounts {
		done := tx.Where("user_key = ? AND account = ? AND due > 0", a.Key(), a.Account).Delete(&erasureRow{})
		if done.Error != nil {
			return fmt.Errorf("naming a reserved account: %w", done.Error)
		}
		if done.RowsAffected == 0 {
			return fault.New(fault.Unavailable, "what was sealed has waited for too long; try again")
		}
	}
	return nil
}

// Condemn gives reserved accounts up, and returns those that nothing has come to name. An
// account whose note is gone is named: the commit that took it has succeeded, though its
// answer was lost. Each is a statement of its own, so that those that were given up before
// an error are returned, and can be erased.
func (s *Store) Condemn(ctx context.Context, accounts []registry.Erasure) ([]registry.Erasure, error) {
	var free []registry.Erasure
	for _, a := range accounts {
		done := s.db.WithContext(ctx).Model(&erasureRow{}).
			Where("user_key = ? AND account = ? AND due > 0", a.Key(), a.Account).Update("due", 0)
		if done.Error != nil {
			return free, fmt.Errorf("giving a reserved account up: %w", done.Error)
		}
		if done.RowsAffected > 0 {
			free = append(free, a)
		}
	}
	return free, nil
}

// putErasures notes accounts that nothing names any more; they are kept until due. Of two
// times the earlier counts: what is to go at once does not wait for what was said before.
func putErasures(tx *gorm.DB, erasures []registry.Erasure, due int64) error {
	if len(erasures) == 0 {
		return nil
	}
	rows := make([]erasureRow, len(erasures))
	for i, e := range erasures {
		rows[i] = newErasureRow(e, due)
	}
	err := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_key"}, {Name: "account"}},
		DoUpdates: clause.Set{assign(tx, "erasures", "due", "CASE WHEN @new < @old THEN @new ELSE @old END")},
	}).CreateInBatches(rows, chunk).Error
	if err != nil {
		return fmt.Errorf("noting credentials to erase: %w", err)
	}
	return nil
}

// Erasures returns up to limit accounts that must leave the vault by now. From then on
// nothing can come to name them: those that are due are given up first, in a statement of
// its own, and read then. A replica that reads the same ones erases them twice, which is
// no harm.
func (s *Store) Erasures(ctx context.Context, now time.Time, limit int) ([]registry.Erasure, error) {
	err := s.db.WithContext(ctx).Model(&erasureRow{}).Where("due > 0 AND due <= ?", now.UnixMicro()).Update("due", 0).Error
	if err != nil {
		return nil, fmt.Errorf("giving up what nothing names: %w", err)
	}
	var rows []erasureRow
	if err := s.db.WithContext(ctx).Where("due = 0").Order("user_key, account").Limit(limit).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading credentials to erase: %w", err)
	}
	out := make([]registry.Erasure, len(rows))
	for i, r := range rows {
		out[i] = r.erasure()
	}
	return out, nil
}

// Erased forgets the note, because the credential has left the vault. Forgetting what
// was never noted is no error.
func (s *Store) Erased(ctx context.Context, e registry.Erasure) error {
	err := s.db.WithContext(ctx).Where("user_key = ? AND account = ?", e.Key(), e.Account).Delete(&erasureRow{}).Error
	if err != nil {
		return fmt.Errorf("forgetting an erased credential: %w", err)
	}
	return nil
}
