// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"io"
	"log/slog"
	"os"
)

// Logger makes the logger the settings ask for, on standard error.
func (l Log) Logger() *slog.Logger { return l.LoggerOn(os.Stderr) }

// LoggerOn makes the logger the settings ask for.
func (l Log) LoggerOn(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // Validate has refused other words
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// durationsAsText writes 1.5s where slog's JSON has 1500000000: who reads a log need not
// know its unit. The text format does so by itself.
func durationsAsText(_ []string, attr slog.Attr) slog.Attr {
	if attr.Value.Kind() == slog.KindDuration {
		attr.Value = slog.StringValue(attr.Value.Duration().String())
	}
	return attr
}
