// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"mailpush.internal/pkg/secret"
	"mailpush.internal/pkg/sqldb"
	"mailpush.internal/pkg/sqltest"
)

type named struct {
	Name string `gorm:"primaryKey;size:64"`
}

// run is a row for each time a migration ran.
type run struct {
	ID        uint `gorm:"primaryKey"`
	Migration string
}

func migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{
		{ID: "0001 tables", Migrate: func(db *gorm.DB) error {
			return errors.Join(db.AutoMigrate(&named{}, &run{}), db.Create(&run{Migration: "0001"}).Error)
		}},
		{ID: "0002 more", Migrate: func(db *gorm.DB) error {
			return db.Create(&run{Migration: "0002"}).Error
		}},
	}
}

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		var replicas errgroup.Group
		start := make(chan struct{})
		for range 6 {
			db := open(t, dsn, quiet())
			replicas.Go(func() error {
				<-start
				return sqldb.Migrate(db, "x_migrations", migrations())
			})
		}
		close(start)
		if err := replicas.Wait(); err != nil {
			t.Fatal(err)
		}
		var runs []run
		if err := open(t, dsn, quiet()).Order("id").Find(&runs).Error; err != nil {
			t.Fatal(err)
		}
		if len(runs) != 2 || runs[0].Migration != "0001" || runs[1].Migration != "0002" {
			t.Errorf("each was to run once, in order: %v", runs)
		}
	})
}

func TestNamesCompareByteByByte(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		db := open(t, dsn, quiet())
		if err := sqldb.Migrate(db, "x_migrations", migrations()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Anna", "anna", "Änna", "日本"} {
			if err := db.Create(&named{Name: name}).Error; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := db.Create(&named{Name: "anna"}).Error; !errors.Is(err, gorm.ErrDuplicatedKey) {
			t.Errorf("a duplicate was to be recognised: %v", err)
		}
	})
}

func TestFailedMigrationRunsAgain(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		db := open(t, dsn, quiet())
		broken := append(migrations(), &gormigrate.Migration{ID: "0003", Migrate: func(*gorm.DB) error {
			return errors.New("out of luck")
		}})
		err := sqldb.Migrate(db, "x_migrations", broken)
		if err == nil || !strings.Contains(err.Error(), "out of luck") {
			t.Fatalf("got %v", err)
		}
		// The lock is free again: another replica, with the mended release, goes on.
		broken[2].Migrate = func(db *gorm.DB) error { return db.Create(&run{Migration: "0003"}).Error }
		other := open(t, dsn, quiet())
		if err := sqldb.Migrate(other, "x_migrations", broken); err != nil {
			t.Fatal(err)
		}
		var count int64
		if err := other.Model(&run{}).Where("migration = ?", "0003").Count(&count).Error; err != nil || count != 1 {
			t.Error(count, err)
		}
	})
}

func TestMigrationOfAnotherTableDoesNotWait(t *testing.T) {
	t.Parallel()
	sqltest.Each(t, func(t *testing.T, dsn secret.String) {
		if strings.HasPrefix(dsn.Reveal(), "sqlite") {
			return // one writer: it must wait
		}
		db, other := open(t, dsn, quiet()), open(t, dsn, quiet())
		nested := []*gormigrate.Migration{{ID: "1", Migrate: func(*gorm.DB) error {
			if err := sqldb.Migrate(other, "y_migrations", migrations()); err != nil {
				return fmt.Errorf("inner: %w", err)
			}
			return nil
		}}}
		if err := sqldb.Migrate(db, "x_migrations", nested); err != nil {
			t.Error(err)
		}
	})
}
