// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package sqldb

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"

	"mailpush.internal/pkg/condition"
	"mailpush.internal/pkg/fault"
)

// slow is when a statement is worth a warning.
const slow = time.Second

// statementLog logs slow statements as warnings and all of them for debugging,
// with placeholders instead of parameters. It logs no errors: they are returned,
// and a driver's error may quote a value. That the database answers again is one of its
// lines.
type statementLog struct {
	log     *slog.Logger
	answers *condition.Condition
}

// ParamsFilter implements gorm.ParamsFilter: parameters never reach the log.
func (statementLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

// LogMode implements [logger.Interface]; the level is slog's affair.
func (l statementLog) LogMode(logger.LogLevel) logger.Interface { return l }

// Info implements [logger.Interface].
func (l statementLog) Info(ctx context.Context, text string, args ...any) {
	l.log.DebugContext(ctx, "database driver note", "note", fmt.Sprintf(text, args...))
}

// Warn implements [logger.Interface].
func (l statementLog) Warn(ctx context.Context, text string, args ...any) {
	l.log.WarnContext(ctx, "database driver note", "note", fmt.Sprintf(text, args...))
}

// Error implements [logger.Interface]. GORM calls it where it also returns an error.
func (l statementLog) Error(ctx context.Context, _ string, _ ...any) {
	l.log.DebugContext(ctx, "database driver error")
}

// Trace implements [logger.Interface]. An error may be an answer as well.
func (l statementLog) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	if fault.KindOf(err) != fault.Unavailable {
		l.answers.Worked(ctx)
	}
	elapsed, level := time.Since(begin), slog.LevelDebug
	if elapsed > slow {
		level = slog.LevelWarn
	}
	if !l.log.Enabled(ctx, level) {
		return // building the text is not free
	}
	sql, rows := statement()
	l.log.Log(ctx, level, "database statement", "sql", sql, "rows", rows, "elapsed", elapsed)
}
