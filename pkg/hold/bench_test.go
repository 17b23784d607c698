// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mailpush.internal/pkg/hold"
)

// BenchmarkTouch is what one change of a shard costs a worker that runs 4,096 of them: the
// change, the read of it, and what the loop asks in between.
func BenchmarkTouch(b *testing.B) {
	const shards = 4096
	var claims []hold.Claim
	for n := range uint32(shards) {
		claims = append(claims, claim(n, 10))
	}
	m, now := hold.New(rand.New(rand.NewPCG(1, 2))), time.Unix(0, 0)
	answer(m, m.Step(want(1, claims...), now), now)
	for n := 0; b.Loop(); n++ {
		answer(m, m.Step(changed(uint32(n%shards), user(n)), now), now)
		_ = m.Next()
	}
}

// answer answers reads and reports until there are none.
func answer(m *hold.Machine, effects []hold.Effect, now time.Time) {
	for len(effects) > 0 {
		effect := effects[0]
		effects = effects[1:]
		switch effect := effect.(type) {
		case hold.Read:
			effects = append(effects, m.Step(hold.Loaded{Read: effect}, now)...)
		case hold.Report:
			effects = append(effects, m.Step(hold.Reported{Have: effect.Have}, now)...)
		}
	}
}
