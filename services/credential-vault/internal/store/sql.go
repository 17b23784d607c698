// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps what the vault has sealed: in SQL, or in memory and gone with
// the process. Invariants: it sees boxes and wrapped keys only, never a secret; versions
// grow with each Put even when several replicas write at once.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// SQL keeps everything in a SQL database. It is safe for concurrent use and for
// several replicas on one database: each method is one statement, or one transaction that
// begins with its lock. Its errors are the database's; what they mean for a caller the
// vault says.
type SQL struct{ db *gorm.DB }

// OpenSQL connects to the database and brings its schema up to date.
func OpenSQL(ctx context.Context, dsn secret.String, log *slog.Logger) (*SQL, error) {
	db, err := sqldb.Open(ctx, dsn, log)
	if err != nil {
		return nil, fmt.Errorf("opening the vault's database: %w", err)
	}
	if err := sqldb.Migrate(db.WithContext(ctx), "vault_migrations", migrations()); err != nil {
		return nil, errors.Join(err, sqldb.Close(db))
	}
	return &SQL{db: db}, nil
}

// Close closes the database.
func (s *SQL) Close() error { return sqldb.Close(s.db) }

// Ping tells whether the database answers.
func (s *SQL) Ping(ctx context.Context) error { return sqldb.Ping(ctx, s.db) }

// AnySealed implements [credential.Keys].
func (s *SQL) AnySealed(ctx context.Context) (bool, error) {
	var rows []credentialRow
	if err := s.db.WithContext(ctx).Select("key_id").Limit(1).Find(&rows).Error; err != nil {
		return false, fmt.Errorf("reading credentials: %w", err)
	}
	return len(rows) > 0, nil
}

// Keys implements [credential.Keys].
func (s *SQL) Keys(ctx context.Context) ([]seal.WrappedKey, error) {
	var rows []keyRow
	if err := s.db.WithContext(ctx).Order("id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	keys := make([]seal.WrappedKey, len(rows))
	for i, row := range rows {
		kdf, err := seal.ParseKDF(row.KDF)
		if err != nil {
			return nil, fmt.Errorf("reading key %d: %w", row.ID, err)
		}
		keys[i] = seal.WrappedKey{ID: row.ID, Active: row.Active, KDF: kdf, Box: row.Box}
	}
	return keys, nil
}

// AddKey implements [credential.Keys]. That a key of the same id is there is no error: who
// adds one reads all of them afterwards, and takes what was stored first.
func (s *SQL) AddKey(ctx context.Context, key seal.WrappedKey) error {
	row := keyRow{ID: key.ID, Active: key.Active, KDF: key.KDF.String(), Box: key.Box, CreatedAt: time.Now().UnixMilli()}
	err := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("storing key %d: %w", key.ID, err)
	}
	return nil
}

// chunk bounds the rows of one statement: SQLite nests conditions no deeper than a thousand,
// and what its driver takes for a statement grows with the square of the values.
const chunk = 100

// Put implements [credential.Records]. The rows are locked by the write, so that the
// versions read after it are those written. Versions are reckoned by the database: two
// replicas' clocks differ, and they must grow all the same.
func (s *SQL) Put(ctx context.Context, list []credential.Put) ([]uint64, error) {
	var versions map[seal.Owner]uint64
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		versions = make(map[seal.Owner]uint64, len(list))
		for part := range slices.Chunk(ordered(list), chunk) {
			if err := put(tx, part, versions); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing %d credentials: %w", len(list), err)
	}
	out := make([]uint64, len(list))
	for i, p := range list {
		out[i] = versions[p.Owner]
	}
	return out, nil
}

// put writes some rows, and reads their versions.
func put(tx *gorm.DB, list []credential.Put, versions map[seal.Owner]uint64) error {
	rows := make([]credentialRow, len(list))
	const ofOwner = "context_id = ? AND user_id = ? AND account = ?"
	owners := tx.Where(ofOwner, list[0].Owner.Context, list[0].Owner.User, list[0].Owner.Account)
	for i, p := range list {
		rows[i] = credentialRow{
			ContextID: p.Owner.Context, UserID: p.Owner.User, Account: p.Owner.Account,
			KeyID: p.Sealed.Key, Box: p.Sealed.Box, Version: uint64(p.At.UnixMicro()), SealedAt: p.At.UnixMilli(),
		}
		owners = owners.Or(ofOwner, p.Owner.Context, p.Owner.User, p.Owner.Account)
	}
	if err := tx.Clauses(upsert(tx)).Create(&rows).Error; err != nil {
		return err
	}
	var stored []credentialRow
	if err := tx.Select("context_id, user_id, account, version").Where(owners).Find(&stored).Error; err != nil {
		return err
	}
	for _, row := range stored {
		versions[seal.Owner{Context: row.ContextID, User: row.UserID, Account: row.Account}] = row.Version
	}
	return nil
}

// upsert has a row replace the one of its owner.
func upsert(tx *gorm.DB) clause.OnConflict {
	offered := "excluded.version"
	if tx.Name() == "mysql" {
		offered = "VALUES(version)"
	}
	grown := clause.Assignment{Column: clause.Column{Name: "version"}, Value: gorm.Expr(
		"CASE WHEN vault_credentials.version >= " + offered + " THEN vault_credentials.version + 1 ELSE " + offered + " END",
	)}
	return clause.OnConflict{
		Columns:   []clause.Column{{Name: "context_id"}, {Name: "user_id"}, {Name: "account"}},
		DoUpdates: append(clause.AssignmentColumns([]string{"key_id", "box", "sealed_at"}), grown),
	}
}

// ordered is the list in the one order in which rows are locked: of two calls that store
// the same ones neither waits for the other while that waits for it.
func ordered(list []credential.Put) []credential.Put {
	return slices.SortedFunc(slices.Values(list), func(a, b credential.Put) int {
		return cmp.Or(cmp.Compare(a.Owner.Context, b.Owner.Context), cmp.Compare(a.Owner.User, b.Owner.User),
			cmp.Compare(a.Owner.Account, b.Owner.Account))
	})
}

// Get implements [credential.Records]. It takes no lock: one who reads while another seals
// gets the old credential or the new one, whole, with its version.
func (s *SQL) Get(ctx context.Context, owner seal.Owner) (credential.Record, error) {
	var row credentialRow
	err := s.db.WithContext(ctx).Scopes(ownedBy(owner)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return credential.Record{}, nil
	}
	if err != nil {
		return credential.Record{}, fmt.Errorf("reading a credential: %w", err)
	}
	return credential.Record{
		Sealed:   seal.Sealed{Key: row.KeyID, Box: row.Box},
		Version:  row.Version,
		SealedAt: time.UnixMilli(row.SealedAt).UTC(),
	}, nil
}

// Delete implements [credential.Records].
func (s *SQL) Delete(ctx context.Context, owner seal.Owner) (int, error) {
	done := s.db.WithContext(ctx).Scopes(ownedBy(owner)).Delete(&credentialRow{})
	if done.Error != nil {
		return 0, fmt.Errorf("deleting credentials: %w", done.Error)
	}
	return int(done.RowsAffected), nil
}

// ownedBy selects the owner's row, all of the user's when Account is empty. The context and
// the user are in it whatever the owner is: no call reaches another user's.
func ownedBy(owner seal.Owner) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB {
		db = db.Where("context_id = ? AND user_id = ?", owner.Context, owner.User)
		if owner.Account != "" {
			db = db.Where("account = ?", owner.Account)
		}
		return db
	}
}

// Write implements [credential.Audit]: one statement, which is its own transaction. All
// entries are stored or none, and nothing of them is opened before.
func (s *SQL) Write(ctx context.Context, entries []credential.Entry) error {
	rows := make([]auditRow, len(entries))
	for i, entry := range entries {
		rows[i] = auditRow{
			At: entry.At.UnixMilli(), Caller: entry.Purpose.Caller, Reason: entry.Purpose.Reason,
			ContextID: entry.Owner.Context, UserID: entry.Owner.User, Account: entry.Owner.Account,
			Version: entry.Version, Outcome: entry.Outcome,
		}
	}
	if err := s.db.WithContext(ctx).Create(&rows).Error; err != nil {
		return fmt.Errorf("writing %d audit entries: %w", len(rows), err)
	}
	return nil
}

// Prune implements [credential.Audit].
func (s *SQL) Prune(ctx context.Context, before time.Time) error {
	err := s.db.WithContext(ctx).Where("at < ?", before.UnixMilli()).Delete(&auditRow{}).Error
	if err != nil {
		return fmt.Errorf("deleting old audit entries: %w", err)
	}
	return nil
}
