// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package header

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// plainText is text that is not encoded: UTF-8, or what most of those write who send
// other bytes.
func plainText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	text, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return text
}

// decodeCharset decodes bytes of a charset; those of one that nobody knows are taken
// for what they look like.
func decodeCharset(name string, raw []byte) string {
	name = strings.Trim(name, " \"'")
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "unicode-1-1-utf-8":
		return plainText(string(raw))
	case "utf-7", "unicode-1-1-utf-7":
		return decodeUTF7(raw)
	}
	known := lookup(name)
	if known == nil {
		return plainText(string(raw))
	}
	text, err := known.NewDecoder().Bytes(raw)
	if err != nil {
		return plainText(string(raw))
	}
	return string(text)
}

// lookup finds a charset by the names of the web, which are what mail programs do, then
// by those of IANA, then by those that neither has.
func lookup(name string) encoding.Encoding {
	switch name {
	case "gb2312", "gb_2312-80", "gbk", "cp936", "ms936", "windows-936", "x-gbk":
		return simplifiedchinese.GB18030 // all that they have, and what is written under their names
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312
	case "cp932", "ms932", "windows-932", "windows-31j", "sjis", "x-ms-cp932":
		return japanese.ShiftJIS
	case "cp949", "ms949", "uhc", "ksc5601", "ks_c_5601", "x-windows-949":
		return korean.EUCKR
	case "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-ms", "cp50220", "cp50221":
		return japanese.ISO2022JP
	case "iso-2022-kr", "iso-2022-cn", "iso-2022-cn-ext": // the web replaces their bytes
		return nil
	}
	for _, known := range []string{name, "windows-" + strings.TrimPrefix(name, "cp"), strings.TrimPrefix(name, "x-")} {
		if found, err := htmlindex.Get(known); err == nil {
			return found
		}
	}
	for _, known := range []string{name, "ibm" + strings.TrimPrefix(name, "cp")} {
		if found, err := ianaindex.IANA.Encoding(known); err == nil && found != nil {
			return found
		}
	}
	return nil
}
