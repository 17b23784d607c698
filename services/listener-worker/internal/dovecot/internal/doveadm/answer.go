// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Row is one line of an answer. Dovecot writes numbers as strings, too.
type Row map[string]string

// UnmarshalJSON implements [json.Unmarshaler]: a value may be a string or a number.
func (r *Row) UnmarshalJSON(raw []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return err
	}
	*r = make(Row, len(values))
	for name, value := range values {
		var text string
		switch {
		case len(value) > 0 && value[0] == '"':
			if err := json.Unmarshal(value, &text); err != nil {
				return err
			}
		case bytes.Equal(value, []byte("null")):
		default:
			text = string(value)
		}
		(*r)[name] = text
	}
	return nil
}

// Answer is what one command brings.
type Answer struct {
	Rows []Row
	// Err is why there are no rows; nil when there may be some.
	Err *Error
}

// entry is one element of the answer to a POST: its kind, what it holds, and its tag.
type entry struct {
	kind string
	held json.RawMessage
	tag  string
}

// UnmarshalJSON implements [json.Unmarshaler].
func (e *entry) UnmarshalJSON(raw []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return fmt.Errorf("%d parts, not 3", len(parts))
	}
	e.held = parts[1]
	if err := json.Unmarshal(parts[0], &e.kind); err != nil {
		return err
	}
	return json.Unmarshal(parts[2], &e.tag)
}

// parse reads the answer to a batch whose first command has a tag. Every command must be
// answered once, and nothing else: then none of it can be another's.
func parse(raw []byte, batch []*request, first uint64) ([][]Answer, *Error) {
	var entries []entry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, &Error{Kind: Broken, Reason: "doveadm's answer is no JSON", Err: err}
	}
	byTag := make(map[string]Answer, len(entries))
	for _, e := range entries {
		if _, twice := byTag[e.tag]; twice {
			return nil, &Error{Kind: Broken, Reason: "doveadm answers the same question twice"}
		}
		answer, err := e.answer()
		if err != nil {
			return nil, err
		}
		byTag[e.tag] = answer
	}
	out, asked := make([][]Answer, len(batch)), first
	for i, r := range batch {
		out[i] = make([]Answer, len(r.commands))
		for j := range r.commands {
			answer, ok := byTag[tagOf(asked)]
			if !ok {
				return nil, &Error{Kind: Broken, Reason: "doveadm's answer is not to what was asked"}
			}
			out[i][j] = answer
			asked++
		}
	}
	if uint64(len(byTag)) != asked-first {
		return nil, &Error{Kind: Broken, Reason: "doveadm answers what nobody asked"}
	}
	return out, nil
}

// answer reads what an entry holds.
func (e *entry) answer() (Answer, *Error) {
	switch e.kind {
	case "doveadmResponse":
		return readRows(e.held)
	case "error":
		var held struct {
			Type     string `json:"type"`
			ExitCode int    `json:"exitCode"`
		}
		if err := json.Unmarshal(e.held, &held); err != nil {
			return Answer{}, &Error{Kind: Broken, Reason: "doveadm's error cannot be read", Err: err}
		}
		if held.Type != "exitCode" {
			return Answer{}, &Error{Kind: Broken, Reason: "doveadm does not know what it is asked"}
		}
		return Answer{Err: classifyExit(held.ExitCode)}, nil
	default:
		return Answer{}, &Error{Kind: Broken, Reason: "doveadm's answer is of no known kind"}
	}
}

// maxRows is how many rows one command may bring: a row takes more memory than bytes.
const maxRows = 20_000

func readRows(held json.RawMessage) (Answer, *Error) {
	from := json.NewDecoder(bytes.NewReader(held))
	if begin, err := from.Token(); err != nil || begin != json.Delim('[') {
		return Answer{}, &Error{Kind: Broken, Reason: "doveadm's rows cannot be read", Err: err}
	}
	var rows []Row
	for from.More() {
		if len(rows) == maxRows {
			return Answer{}, &Error{Kind: TooLarge, Reason: fmt.Sprintf("doveadm's answer has more than %d rows", maxRows)}
		}
		var row Row
		if err := from.Decode(&row); err != nil {
			return Answer{}, &Error{Kind: Broken, Reason: "doveadm's rows cannot be read", Err: err}
		}
		rows = append(rows, row)
	}
	return Answer{Rows: rows}, nil
}
