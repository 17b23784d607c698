// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, from, subject, date string }{
		"plain":               {"From: a\r\nSubject: b\r\nDate: c\r\n\r\n", " a\r\n", " b\r\n", " c\r\n"},
		"bare LF":             {"From: a\nSubject: b\n\n", " a\n", " b\n", ""},
		"any case and spaces": {"FROM : a\r\nsubject\t:b\r\n", " a\r\n", "b\r\n", ""},
		"folded":              {"Subject: a\r\n b\r\n\tc\r\nFrom: x\r\n", " x\r\n", " a\r\n b\r\n\tc\r\n", ""},
		"the first counts":    {"Subject: a\r\nSubject: b\r\n", "", " a\r\n", ""},
		"cut off":             {"From: a\r\nSubject: hel", " a\r\n", " hel", ""},
		"what is no field":    {">From here\r\nnonsense\r\n\r\nSubject: b\r\n", "", " b\r\n", ""},
		"nothing":             {"", "", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Parse([]byte(test.in))
			if string(got.From) != test.from || string(got.Subject) != test.subject || string(got.Date) != test.date {
				t.Errorf("got %q, %q, %q", got.From, got.Subject, got.Date)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" hello \r\n":                                          "hello",
		"a\r\n b\r\n\tc":                                       "a b c",
		"two  blanks":                                          "two  blanks",
		"=?utf-8?q?caf=c3=a9?=":                                "café",
		"a =?utf-8?Q?b?= c":                                    "a b c",
		"=?utf-8?Q?a?= =?utf-8?Q?b?=":                          "ab",
		"=?utf-8?Q?a?=\r\n\t=?utf-8?Q?b?=":                     "ab",
		"=?utf-8?Q?a_b?=":                                      "a b",
		"=?utf-8?Q?a b?=":                                      "a b",
		"=?UTF-8*en?Q?caf=C3=A9?=":                             "café",
		"=?utf-8?B?aGVsbG8gd29ybGQ?=":                          "hello world",
		"=?utf-8?B?aGVsbG8gd29ybGQ=?=":                         "hello world",
		"=?utf-8?B?aGVs bG8?=":                                 "hello",
		"=?utf-8?B?aGVsbG8gd2?= =?utf-8?B?9ybGQ=?=":            "hello world",
		"=?utf-8?B?w6k=w6k=?=":                                 "éé",
		"=?UTF-8?Q?pasi=C5=BEad=C4?= =?UTF-8?Q?=97jim=C5=B3?=": "pasižadėjimų",
		"=?UTF-8?B?4pw=?= =?UTF-8?Q?=93?=":                     "✓",
		"=?gb2312?B?Obv9t9az6cnu29rHsLqju6rHyLPHSlfN8rrAvsa16qOsuPzT0DIwvNIzOTnU?= =?gb2312?B?qr6r0aG439DHytTLr77Gteq1yMTjwLSjoaOoQUSjqQ?=": "9积分抽深圳前海华侨城JW万豪酒店，更有20家399元精选高星试睡酒店等你来！（AD）",
		"=?ISO-2022-JP?B?GyRCRnxLXDhsJEhGfEtcOGwkSEZ8S1w4bCROJUElJyVDGyhC?= =?ISO-2022-JP?B?GyRCJS8bKEI=?=":                                 "日本語と日本語と日本語のチェック",
		"=?cp932?B?k/qWe4zq?=":                          "日本語",
		"=?windows-31j?B?k/qWe4zq?=":                    "日本語",
		"=?ks_c_5601-1987?B?x9GxvQ==?=":                 "한굵",
		"=?windows-874?B?ypHK?=":                        "ส‘ส",
		"=?cp1252?Q?=80?=":                              "€",
		"=?iso-8859-1?Q?=E9t=E9?=":                      "été",
		"=?iso-8859-15?Q?=A4?=":                         "€",
		"=?koi8-r?B?8NLJ18XU?=":                         "Привет",
		"=?cp850?Q?=82?=":                               "é",
		"=?hz-gb-2312?Q?~{VPND~}?=":                     "中文",
		"=?utf-7?Q?Hi_+AOk-t+AOk?=":                     "Hi été",
		"=?utf-7?Q?1_+-_1?=":                            "1 + 1",
		"=?x-unknown?Q?abc?= =?utf-8?Q?=C3=A9t=C3=A9?=": "abcété",
		"=?x-unknown?Q?=C3=A9?=":                        "é",
		"=?utf-8?Q?=E9t=E9?=":                           "été",
		"=?utf-8?X?abc?=":                               "=?utf-8?X?abc?=",
		"=?utf-8?Q?abc":                                 "=?utf-8?Q?abc",
		"=?=?=?utf-8?Q?a?=":                             "=?=?a",
		"=?utf-8?Q?=C3=A9?=t":                           "ét",
		"=?utf-8?Q?100=25_=G1?=":                        "100% =G1",
		"caf\xc3\xa9":                                   "café",
		"caf\xe9":                                       "café",
		"caf\xe9 =?utf-8?Q?=C3=A9?=":                    "café é",
		"a\x00b\x1bc\x7f":                               "a\uFFFDb\uFFFDc\uFFFD",
		"=?utf-8?Q?a=00=1B=C2=85b?=":                    "a\uFFFD\uFFFD\uFFFDb",
		"می\u200cخواهم":                                 "می\u200cخواهم",
		"co\u00adop \U0001F469\u200d\U0001F52C \U0001FAE9 \uE000 \u202Ea": "co\u00adop \U0001F469\u200d\U0001F52C \U0001FAE9 \uE000 \u202Ea",
		"": "",
	} {
		if got := Text([]byte(in), 100); got != want {
			t.Errorf("Text(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	if got := Text([]byte(strings.Repeat("ä", 50)), 10); got != strings.Repeat("ä", 10)+"…" {
		t.Errorf("a long text became %q", got)
	}
}

func TestSender(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" Anna <anna@example.org>\r\n":                 "Anna <anna@example.org>",
		"anna@example.org":                             "anna@example.org",
		"<anna@example.org>":                           "anna@example.org",
		"anna@example.org (Anna B.)":                   "Anna B. <anna@example.org>",
		`"B., Anna" <anna@example.org>, b@c`:           "B., Anna <anna@example.org>",
		`"a\"b" <a@b>`:                                 `a"b <a@b>`,
		"Doe, John <j@x>":                              "Doe, John <j@x>",
		"Anna anna@example.org":                        "Anna <anna@example.org>",
		"a@b, c@d":                                     "a@b",
		"Anna <a@b":                                    "Anna <a@b>",
		"Board: Alice <alice@example.org>;":            "Alice <alice@example.org>",
		"Board: alice@example.org, b@c;":               "alice@example.org",
		"undisclosed-recipients:;":                     "undisclosed-recipients",
		"Board: ; , x@y":                               "x@y",
		"=?utf-8?Q?J=C3=B6rg?= <j@x>":                  "Jörg <j@x>",
		`"=?utf-8?Q?J=C3=B6rg?=" <j@x>`:                "Jörg <j@x>",
		"=?utf-8?Q?a,_b_<c@d>?= <j@x>":                 "a, b <c@d> <j@x>",
		"=?utf-8?Q?J=C3=B6?=\r\n =?utf-8?Q?rg?= <j@x>": "Jörg <j@x>",
		"J\xf6rg <j@x>":                                "Jörg <j@x>",
		"Jörg <jörg@exämple.org>":                      "Jörg <jörg@exämple.org>",
		"<@relay:a@b>":                                 "a@b",
		"Mailer Daemon":                                "Mailer Daemon",
		"Anna <>":                                      "Anna",
		"a@b <a@b>":                                    "a@b",
		"":                                             "",
		" , ;":                                         "",
		`"unclosed <a@b>`:                              `unclosed <a@b>`,
		"(unclosed <a@b>":                              "(unclosed <a@b>",
	} {
		if got := Sender([]byte(in), 100); got != want {
			t.Errorf("Sender(%q)\n got %q\nwant %q", in, got, want)
		}
	}
}

// A sender cannot make the reading of his mail slow.
func TestOddHeadersAreCheap(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"(", `"\`, "=?a?Q?", "a,", "<", ":", ";", "=?utf-8?B?a?= ", "+", "=?utf-7?Q?+?= "} {
		field := []byte(strings.Repeat(part, (100<<10)/len(part)))
		began := time.Now()
		Text(field, 1000)
		Sender(field, 1000)
		if took := time.Since(began); took > time.Second {
			t.Errorf("many %q took %v", part, took)
		}
	}
}

func FuzzHeaderText(f *testing.F) {
	for _, seed := range []string{
		"Anna <anna@example.org>", "=?utf-8?B?aGVsbG8gd2?= =?utf-8?B?9ybGQ=?=", "=?utf-7?Q?+AOk-?=", "a\xe9\x00\r\n b",
		"Board: Alice <alice@example.org>;", `"=?iso-2022-jp?B?GyRC?=" <j@x> (c`, "=?hz?Q?~{?=", "=?gb2312?B?1?=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		const most = 50
		for _, text := range []string{Text(field, most), Sender(field, most)} {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most+1 {
				t.Errorf("%q is no short text", text)
			}
			for _, r := range text {
				if isControl(r) {
					t.Errorf("%q has a control character", text)
				}
			}
		}
		header := append([]byte("Subject: "), field...)
		if got := Parse(header); got.Subject == nil {
			t.Errorf("no subject in %q", header)
		}
	})
}
