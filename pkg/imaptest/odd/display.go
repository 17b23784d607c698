// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package odd

import (
	"strings"

	"mailpush.internal/pkg/imaptest"
)

// shown is what a header is to be read as.
type shown struct{ name, header, from, subject string }

func servers(kind string, all []shown) []Server {
	var out []Server
	for _, s := range all {
		header := strings.ReplaceAll(s.header, "\n", "\r\n") + "\r\n\r\n"
		out = append(out, Server{
			Name:  kind + ": " + s.name,
			Steps: []Step{arrive(imaptest.OddMail{Header: header})},
			Want:  []Mail{{UID: 10, From: s.from, Subject: s.subject}},
		})
	}
	return out
}

// display is of subjects that people read elsewhere, and want to read here.
func display() []Server {
	subject := func(name, raw, want string) shown {
		return shown{name, "From: a@example.org\nSubject: " + raw, "a@example.org", want}
	}
	return servers("display", []shown{
		subject("a character of UTF-8 split between words", "=?utf-8?B?R3LD?= =?utf-8?B?vMOfZSDDpMO2ww==?= =?utf-8?B?vMOf?=", "Grüße äöüß"),
		subject("a character of GB2312 split between words", "=?gb2312?B?xOO6?= =?gb2312?B?w6OszbbL3w==?=", "你好，投诉"),
		subject("base64 without padding", "=?utf-8?B?SGVsbG8?=", "Hello"),
		subject("base64 with spaces in it", "=?utf-8?B?SGVs bG8=?=", "Hello"),
		subject("a language beside the charset", "=?utf-8*en?Q?caf=C3=A9?=", "café"),
		subject("cp932", "=?cp932?B?k/qWe4zq?=", "日本語"),
		subject("ISO-2022-JP", "=?iso-2022-jp?B?GyRCRnxLXDhsGyhC?=", "日本語"),
		subject("KOI8-R in lower case", "=?koi8-r?q?=F0=D2=C9=D7=C5=D4?=", "Привет"),
		subject("Windows' name of Latin-1", "=?windows-1252?Q?=80uro=99?=", "€uro™"),
		subject("an unknown charset", "=?x-unknown?Q?caf=E9?=", ""),
		subject("underscores", "=?utf-8?q?a_b?= c", "a b c"),
		subject("words beside each other", "=?utf-8?q?a?= =?utf-8?q?b?= c =?utf-8?q?d?=", "ab c d"),
		subject("a word inside other text", "re:=?utf-8?q?caf=C3=A9?=", "re:café"),
		subject("bytes of UTF-8 as they are", "Grüße", "Grüße"),
		subject("bytes of Latin-1 as they are", "Gr\xfc\xdfe", ""),
		subject("folded in the middle", "one\n two\n\tthree", "one two three"),
		subject("a zero-width non-joiner", "می\u200cخواهم", "می\u200cخواهم"),
		subject("a soft hyphen", "Donau\u00addampf", "Donau\u00addampf"),
		subject("an emoji of many", "👩\u200d👩\u200d👧 🫩", "👩\u200d👩\u200d👧 🫩"),
		subject("private use", "\ue000 logo", "\ue000 logo"),
		subject("control characters", "a\x1b[31m\x07 =?utf-8?q?=1B=9B?=", ""),
		{"a header that ends in the middle", "Subject: cut", "", "cut"},
		{"header names in lower case", "from: a@example.org\nsubject: low", "a@example.org", "low"},
		{"a space before the colon", "From : a@example.org\nSubject : wide", "a@example.org", "wide"},
		{"a line that is no field", "nonsense\nFrom: a@example.org\nSubject: after", "a@example.org", "after"},
	})
}

// addresses is of senders.
func addresses() []Server {
	sender := func(name, raw, want string) shown { return shown{name, "From: " + raw + "\nSubject: s", want, "s"} }
	return servers("address", []shown{
		sender("a group", "Board: Alice <alice@example.org>, Bob <bob@example.org>;", "Alice <alice@example.org>"),
		sender("two senders", "Alice <alice@example.org>, Bob <bob@example.org>", "Alice <alice@example.org>"),
		sender("a name after the address", "alice@example.org (Alice)", "Alice <alice@example.org>"),
		sender("a name in quotes", `"Doe, \"J\" Jane" <jane@example.org>`, `Doe, "J" Jane <jane@example.org>`),
		sender("an encoded name", "=?utf-8?q?J=C3=A9r=C3=B4me?= <j@example.org>", "Jérôme <j@example.org>"),
		sender("an encoded name in quotes", `"=?utf-8?q?J=C3=A9r=C3=B4me?=" <j@example.org>`, "Jérôme <j@example.org>"),
		sender("a comma in an encoded name", "=?utf-8?q?Doe=2C_Jane?= <jane@example.org>", "Doe, Jane <jane@example.org>"),
		sender("a name in UTF-8", "Jérôme <j@example.org>", "Jérôme <j@example.org>"),
		sender("a dot in a name", "J. Doe <j@example.org>", "J. Doe <j@example.org>"),
		sender("no host", "Alice <alice>", "Alice <alice>"),
		sender("a bracket that stays open", "Alice <alice@example.org", "Alice <alice@example.org>"),
		sender("a comment", "Alice (at home) <alice@example.org>", "Alice <alice@example.org>"),
	})
}
