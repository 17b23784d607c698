// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"mailpush.internal/services/admin-api/internal/registry"
)

func TestPlacesOfMailStores(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.UnixMicro(1_800_000_000_000_000)
		place := func(backends, want map[string]string) {
			t.Helper()
			same(t, "former backends", want, must(s.Place(ctx, backends, now))(t))
		}
		place(map[string]string{"a": "imapidle", "b": "imapidle"}, map[string]string{})
		place(map[string]string{"a": "imapidle"}, map[string]string{})
		place(map[string]string{"a": "dovecot", "c": "dovecot"}, map[string]string{"a": "imapidle"})
		same(t, "placements", map[string]registry.Placement{
			"a": {Backend: "dovecot", Since: now}, "b": {Backend: "imapidle", Since: time.UnixMicro(0)},
			"c": {Backend: "dovecot", Since: time.UnixMicro(0)},
		}, must(s.Placements(ctx))(t))
		place(map[string]string{"a": "imapidle"}, map[string]string{"a": "dovecot"})

		claims := []registry.Claim{{Shard: registry.Shard{Backend: "x", Number: 7}, Epoch: 1}, {Shard: registry.Shard{Backend: "x", Number: 3}, Epoch: 2}}
		must(s.OpenEpochs(ctx, claims))(t)
		same(t, "opened shards", []uint32{3, 7}, must(s.OpenedShards(ctx, "x"))(t))
		same(t, "opened shards of nobody", []uint32{}, must(s.OpenedShards(ctx, "y"))(t))
	})
}
