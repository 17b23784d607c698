// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"io"
	"log/slog"
	"os"
)

// Logger makes the logger the settings ask for, on standard error. It goes by the level that
// stands there, which it is told first and may be another later.
func (l Log) Logger(level *slog.LevelVar) *slog.Logger { return l.LoggerOn(os.Stderr, level) }

// LoggerOn makes the logger the settings ask for.
func (l Log) LoggerOn(w io.Writer, level *slog.LevelVar) *slog.Logger {
	l.SetLevel(level)
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// SetLevel has loggers go by the level that the settings ask for.
func (l Log) SetLevel(level *slog.LevelVar) {
	var asked slog.Level
	_ = asked.UnmarshalText([]byte(l.Level)) // Validate has refused other words
	level.Set(asked)
}

// durationsAsText writes 1.5s where slog's JSON has 1500000000: who reads a log need not
// know its unit. The text format does so by itself.
func durationsAsText(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	return attr
}
