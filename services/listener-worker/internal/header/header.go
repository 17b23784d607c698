// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package header turns the header of a mail into text for people.
//
// Invariant: it takes any bytes, never fails, and takes time and memory in proportion
// to them. What it returns is valid UTF-8 without control characters, as short as asked
// for; whatever else a sender wrote stays as it was written.
package header

import "bytes"

// Fields are the fields of a header that a push may speak of, as they were received.
// They share the memory of the header.
type Fields struct {
	From, Subject, Date []byte
}

// Parse finds fields in a header, the first of each name (RFC 5322 section 2.2). Lines
// that are no field are passed over; so is a missing end.
func Parse(header []byte) Fields {
	var fields Fields
	for len(header) > 0 {
		var line []byte
		line, header = cutField(header)
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			continue
		}
		name = bytes.Trim(name, " \t\r\x00")
		switch {
		case fields.From == nil && bytes.EqualFold(name, []byte("From")):
			fields.From = value
		case fields.Subject == nil && bytes.EqualFold(name, []byte("Subject")):
			fields.Subject = value
		case fields.Date == nil && bytes.EqualFold(name, []byte("Date")):
			fields.Date = value
		}
	}
	return fields
}

// cutField takes the first field with its folded lines off a header.
func cutField(header []byte) (field, rest []byte) {
	for at := 0; ; {
		end := bytes.IndexByte(header[at:], '\n')
		if end < 0 {
			return header, nil
		}
		at += end + 1
		if at == len(header) || header[at] != ' ' && header[at] != '\t' {
			return header[:at], header[at:]
		}
	}
}
