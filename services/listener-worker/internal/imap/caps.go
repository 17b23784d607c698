// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"bytes"
	"strings"
)

// capabilities are those that matter here.
type capabilities struct {
	known                                  bool
	idle, id, plain, saslIR, plus, noLogin bool
}

// take takes a list of capabilities, which replaces what was known.
func (k *capabilities) take(list []byte) {
	*k = capabilities{}
	for word := range bytes.FieldsSeq(list) {
		k.add(word)
	}
}

// add takes in one capability.
func (k *capabilities) add(word []byte) {
	k.known = true
	is := func(name string) bool { return len(word) == len(name) && strings.EqualFold(string(word), name) }
	rev2 := is("IMAP4rev2") // RFC 9051 makes some others a part of itself
	k.idle = k.idle || rev2 || is("IDLE")
	k.saslIR = k.saslIR || rev2 || is("SASL-IR")
	k.id = k.id || is("ID")
	k.plain = k.plain || is("AUTH=PLAIN")
	k.plus = k.plus || is("LITERAL+")
	k.noLogin = k.noLogin || is("LOGINDISABLED")
}
