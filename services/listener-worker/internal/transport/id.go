// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// idLength is how many base32 digits of a hash make an id: 130 bits.
const idLength = 26

// EventID is the id of one mail's event: the same on every try, for every
// subscription, on every worker of the instance, and after a restart. It is another
// mail's only after a reset, where a server hands out UIDs anew.
func EventID(instance, contextID, userID, folder string, uidValidity, uid uint32) string {
	return "evt_" + hash([]string{instance, contextID, userID, folder}, uidValidity, uid)
}

// ID is the id of a batch for a subscription's folder: the same on every try of the
// same range, another one when the range has grown, so that a receiver that
// remembers it never takes new mail for a repetition.
func (b Batch) ID(subscription, folder string) string {
	var reset uint32
	if b.Reset {
		reset, b.Upto = 1, 0 // one reset for each UIDVALIDITY, wherever the folder ends
	}
	return "msg_" + hash([]string{subscription, folder}, reset, b.UIDValidity, b.From, b.Upto)
}

// hash digests texts and numbers without ambiguity: each text goes in behind its
// length, each number at its full width.
func hash(texts []string, numbers ...uint32) string {
	var key []byte
	for _, text := range texts {
		key = binary.BigEndian.AppendUint64(key, uint64(len(text)))
		key = append(key, text...)
	}
	for _, number := range numbers {
		key = binary.BigEndian.AppendUint32(key, number)
	}
	sum := sha256.Sum256(key)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:idLength]
}
