// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"mailpush.internal/services/credential-vault/internal/credential"
	"mailpush.internal/services/credential-vault/internal/seal"
)

// Memory keeps everything in memory, still sealed; audit entries go to the log. It is
// safe for concurrent use. It keeps the promises of [SQL] but the one of its name, and the
// same tests run on both.
type Memory struct {
	log     *slog.Logger
	mu      sync.Mutex
	keys    []seal.WrappedKey
	records map[seal.Owner]credential.Record
}

// NewMemory makes an empty store.
func NewMemory(log *slog.Logger) *Memory {
	return &Memory{log: log, records: make(map[seal.Owner]credential.Record)}
}

// Close forgets everything: whoever still holds the store finds nothing in it.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = nil
	clear(m.records)
	return nil
}

// Ping always answers.
func (*Memory) Ping(context.Context) error { return nil }

// AnySealed implements [credential.Keys].
func (m *Memory) AnySealed(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records) > 0, nil
}

// Keys implements [credential.Keys].
func (m *Memory) Keys(context.Context) ([]seal.WrappedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.keys), nil
}

// AddKey implements [credential.Keys].
func (m *Memory) AddKey(_ context.Context, key seal.WrappedKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.keys, func(k seal.WrappedKey) bool { return k.ID == key.ID }) {
		m.keys = append(m.keys, key)
	}
	return nil
}

// Put implements [credential.Records]. The time is kept as SQL keeps it, so that what is
// tried on the one is true of the other.
func (m *Memory) Put(_ context.Context, list []credential.Put) ([]uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	versions := make([]uint64, len(list))
	for i, p := range list {
		versions[i] = max(m.records[p.Owner].Version+1, uint64(p.At.UnixMicro()))
		m.records[p.Owner] = credential.Record{
			Sealed: p.Sealed, Version: versions[i], SealedAt: p.At.UTC().Truncate(time.Millisecond),
		}
	}
	return versions, nil
}

// Get implements [credential.Records].
func (m *Memory) Get(_ context.Context, owner seal.Owner) (credential.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[owner], nil
}

// Delete implements [credential.Records].
func (m *Memory) Delete(_ context.Context, owner seal.Owner) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.records)
	maps.DeleteFunc(m.records, func(o seal.Owner, _ credential.Record) bool {
		return o.Context == owner.Context && o.User == owner.User &&
			(owner.Account == "" || o.Account == owner.Account)
	})
	return before - len(m.records), nil
}

// Write implements [credential.Audit]: there is no table, the log keeps it.
func (m *Memory) Write(ctx context.Context, entries []credential.Entry) error {
	for _, entry := range entries {
		m.log.InfoContext(ctx, "credential asked for", "caller", entry.Purpose.Caller, "reason", entry.Purpose.Reason,
			"context", entry.Owner.Context, "user", entry.Owner.User, "account", entry.Owner.Account,
			"version", entry.Version, "outcome", entry.Outcome)
	}
	return nil
}

// Prune implements [credential.Audit]; the log ages by itself.
func (*Memory) Prune(context.Context, time.Time) error { return nil }
