// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mailpush.internal/pkg/secret"
)

// Reach tells whether a database can be opened, and makes nothing: a server is logged in
// to, of a file it is looked whether its directory is there.
func Reach(ctx context.Context, dsn secret.String) error {
	if where, ok := strings.CutPrefix(dsn.Reveal(), "sqlite:"); ok {
		if where == memory {
			return nil
		}
		path, err := sqlitePath(where)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("looking for the directory of the database file: %w", err)
		}
		return nil
	}
	o, err := connect(ctx, dsn.Reveal(), writing)
	if err != nil {
		return err
	}
	return o.pool.Close()
}
