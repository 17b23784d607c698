// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridge is a zap logger that writes to log what is worth an operator's time. Once
// closing is true nothing is: a server that is closed complains of each listener.
func bridge(log *slog.Logger, closing *atomic.Bool) *zap.Logger {
	return zap.New(core{log.With("component", "etcd"), closing})
}

// core implements [zapcore.Core] over slog.
type core struct {
	log     *slog.Logger
	closing *atomic.Bool
}

// Enabled implements [zapcore.LevelEnabler]: warnings and worse.
func (c core) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel && !c.closing.Load()
}

// With implements [zapcore.Core].
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.log.With(attributes(fields)...), c.closing}
}

// Check implements [zapcore.Core].
func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// ofNoConcern tells warnings about what is right for a server of one process: HTTP
// and gRPC on one socket, and tokens that no stranger can reach.
func ofNoConcern(message string) bool {
	return message == "Running http and grpc server on single port. This is not recommended for production." ||
		message == "simple token is not cryptographically signed"
}

const (
	// slowRequest is said of a single request that took 100 ms, as any may on a machine
	// with other work.
	slowRequest = "apply request took too long"
	// storageVersion is said when a new server notes its version before its first entry is
	// on disk; it tries again every few seconds.
	storageVersion = "failed to update storage version"
)

// Write implements [zapcore.Core].
func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if ofNoConcern(entry.Message) {
		return nil
	}
	level := slog.LevelWarn
	switch {
	case entry.Message == slowRequest, entry.Message == storageVersion:
		level = slog.LevelInfo
	case entry.Level > zapcore.WarnLevel:
		level = slog.LevelError
	}
	c.log.With("text", entry.Message).Log(context.Background(), level, "etcd says", attributes(fields)...)
	return nil
}

// Sync implements [zapcore.Core].
func (core) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(encoder)
	}
	out := make([]any, 0, len(encoder.Fields))
	for key, value := range encoder.Fields {
		out = append(out, slog.Any(key, value))
	}
	return out
}
