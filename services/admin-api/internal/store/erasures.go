// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// Reserve notes accounts that are about to be sealed: those that nothing has come to name
// by until are erased. Unavailable when one of them is noted already.
//
// The vault and this database share no transaction, so the note comes before the secret and
// goes in the transaction that names it: whenever a process ends between the two, what it
// has sealed is found, and erased. A note is reserved or kept while due is in the future;
// with due 0 it is given up, which nothing takes back.
func (s *Store) Reserve(ctx context.Context, accounts []registry.Erasure, until time.Time) error {
	rows := make([]erasureRow, len(accounts))
	for i, a := range accounts {
		rows[i] = newErasureRow(a, until.UnixMicro())
	}
	reserve := func(db *gorm.DB) error {
		done := db.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, rowsAtOnce)
		if done.Error == nil && done.RowsAffected < int64(len(rows)) {
			return fault.New(fault.Unavailable, "another call uses the same place in the vault; try again")
		}
		return done.Error
	}
	var err error
	if len(rows) > rowsAtOnce {
		err = s.write(ctx, reserve)
	} else {
		err = reserve(s.db.WithContext(ctx)) // one statement is a transaction by itself
	}
	if err != nil {
		return fmt.Errorf("reserving places in the vault: %w", err)
	}
	return nil
}

// releaseAll takes what is reserved for entries out of the notes: from now on rows name it. An
// entry is Unavailable when one of its accounts has come to be erased meanwhile: the secret
// may be gone. Its other accounts stay noted.
func releaseAll(tx *gorm.DB, all []*entry) error {
	noted, err := notesOf(tx, all)
	if err != nil {
		return err
	}
	var released []registry.Erasure
	for _, e := range all {
		if e.err != nil {
			continue
		}
		for _, a := range e.Sealed {
			if !noted[a] {
				e.err = waitedTooLong()
			}
		}
		if e.err == nil {
			released = append(released, e.Sealed...)
		}
	}
	for part := range slices.Chunk(released, accountsAtOnce) {
		these := tx.Where("user_key = ? AND account = ?", part[0].Key(), part[0].Account)
		for _, a := range part[1:] {
			these = these.Or("user_key = ? AND account = ?", a.Key(), a.Account)
		}
		if err := tx.Where(these).Delete(&erasureRow{}).Error; err != nil {
			return fmt.Errorf("naming reserved accounts: %w", err)
		}
	}
	return nil
}

// release does that for a single account.
func release(tx *gorm.DB, a registry.Erasure) error {
	done := tx.Where("user_key = ? AND account = ? AND due > 0", a.Key(), a.Account).Delete(&erasureRow{})
	if done.Error != nil {
		return fmt.Errorf("naming a reserved account: %w", done.Error)
	}
	if done.RowsAffected == 0 {
		return waitedTooLong()
	}
	return nil
}

func waitedTooLong() error {
	return fault.New(fault.Unavailable, "what was sealed has waited for too long; try again")
}

// accountsAtOnce bounds the accounts of one statement: SQLite nests conditions no deeper
// than a thousand; see rowsAtOnce, too.
const accountsAtOnce = 100

// notesOf locks and reads what is reserved for the entries' users.
func notesOf(tx *gorm.DB, all []*entry) (map[registry.Erasure]bool, error) {
	var keys []string
	for _, e := range all {
		if e.err == nil && len(e.Sealed) > 0 {
			keys = append(keys, e.Key())
		}
	}
	noted := make(map[registry.Erasure]bool)
	for part := range slicesOf(keys) {
		var rows []erasureRow
		if err := locked(tx).Where("user_key IN ? AND due > 0", part).Order("user_key, account").Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("reading reserved accounts: %w", err)
		}
		for _, r := range rows {
			noted[r.erasure()] = true
		}
	}
	return noted, nil
}

// Condemn gives reserved accounts up, and returns those that nothing has come to name. An
// account whose note is gone is named: the commit that took it has succeeded, though its
// answer was lost.
func (s *Store) Condemn(ctx context.Context, accounts []registry.Erasure) ([]registry.Erasure, error) {
	accounts = slices.SortedFunc(slices.Values(accounts), func(a, b registry.Erasure) int {
		return cmp.Or(cmp.Compare(a.Key(), b.Key()), cmp.Compare(a.Account, b.Account))
	})
	var free []registry.Erasure
	err := s.write(ctx, func(tx *gorm.DB) error {
		free = nil
		for _, a := range accounts {
			done := tx.Model(&erasureRow{}).
				Where("user_key = ? AND account = ? AND due > 0", a.Key(), a.Account).Update("due", 0)
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected > 0 {
				free = append(free, a)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("giving reserved accounts up: %w", err)
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
	}).CreateInBatches(rows, rowsAtOnce).Error
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
