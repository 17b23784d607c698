// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"google.golang.org/protobuf/proto"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// box is what is remembered of a mailbox that runs: whose it is, and a fingerprint of what
// the registry said of it. Listeners and delivery have the rest.
type box struct {
	user  mailbox.User
	print uint64
}

// boxes are the mailboxes of a shard, ascending by user.
type boxes []box

func (b boxes) sort() {
	slices.SortFunc(b, func(a, b box) int { return compare(a, b.user) })
}

// find returns a user's mailbox, if it is there.
func (b boxes) find(user mailbox.User) (box, bool) {
	at, found := slices.BinarySearchFunc(b, user, compare)
	if !found {
		return box{}, false
	}
	return b[at], true
}

func compare(b box, user mailbox.User) int {
	return cmp.Or(cmp.Compare(b.user.Context, user.Context), cmp.Compare(b.user.ID, user.ID))
}

// prints makes fingerprints of what the registry lists. Two that differ have, but for one
// in 2^64, different fingerprints; those of another membership are others.
type prints struct {
	seed maphash.Seed
	wire []byte // for the next one
}

func newPrints() prints { return prints{seed: maphash.MakeSeed()} }

// of is the fingerprint of a message, and of what it refers to by that one's.
func (p *prints) of(message proto.Message, refers uint64) uint64 {
	wire, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(p.wire[:0], message)
	if err != nil {
		return 0 // text that is not UTF-8, which came over the wire as well as this would
	}
	p.wire = wire
	return maphash.Bytes(p.seed, binary.BigEndian.AppendUint64(wire, refers))
}
