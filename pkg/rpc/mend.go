// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// deepest bounds how far mend follows messages within messages.
const deepest = 16

// mend looks at a request that protojson refuses. It writes out the names of enums' values
// that lack their prefix, and says of the first thing that is wrong beyond that which field
// it is and what belongs there. All else it leaves to protojson as it is: what is mended is
// taken or refused by protojson again, and nothing is let through that is not in the
// contract.
func mend(data []byte, message protoreflect.MessageDescriptor) ([]byte, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the request is empty: send a JSON object, {} at least")
	}
	if err := syntax(data); err != nil {
		return nil, err
	}
	return mendMessage(data, message, "", 0)
}

// syntax says where a text stops being JSON.
func syntax(data []byte) error {
	var whole json.RawMessage
	broken, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, &whole))
	if !ok {
		return nil
	}
	before := data[:min(max(broken.Offset-1, 0), int64(len(data)))]
	line, column := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("the request is no JSON at line %d, column %d: %w", line, column, broken)
}

// plain is an error of protojson without what that puts in front of its words.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "proto:")
	return errors.New("the request cannot be read: " + strings.TrimLeftFunc(text, unicode.IsSpace))
}

func mendMessage(raw json.RawMessage, message protoreflect.MessageDescriptor, path string, depth int) (json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); raw[0] != '{' {
		return nil, at(path, "must be an object, in braces")
	}
	if depth > deepest {
		return raw, nil
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	_, _ = in.Token() // the brace; that it is JSON has been seen
	out := bytes.NewBufferString("{")
	for in.More() {
		token, err := in.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err = errors.Join(err, in.Decode(&value)); err != nil {
			return nil, at(path, "cannot be read: %v", err)
		}
		field := fieldOf(message, name)
		if field == nil {
			return nil, at(join(path, shown(name)), "unknown field; %s has %s", message.Name(), strings.Join(fieldsOf(message), ", "))
		}
		if value, err = mendField(value, field, join(path, name), depth); err != nil {
			return nil, err
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "%q:%s", name, value) // the name of a field has nothing that JSON quotes in another way
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func mendField(raw json.RawMessage, field protoreflect.FieldDescriptor, path string, depth int) (json.RawMessage, error) {
	switch {
	case string(raw) == "null":
		return raw, nil
	case field.IsMap():
		return raw, checkMap(raw, field, path)
	case !field.IsList():
		return mendValue(raw, field, path, depth)
	case fits(raw, field):
		return raw, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, at(path, "must be a list, in brackets")
	}
	for i, value := range list {
		var err error
		if list[i], err = mendValue(value, field, fmt.Sprintf("%s[%d]", path, i), depth); err != nil {
			return nil, err
		}
	}
	return append(append([]byte("["), bytes.Join(asBytes(list), []byte(","))...), ']'), nil
}

// checkMap names the first entry that is wrong; values are left as they are.
func checkMap(raw json.RawMessage, field protoreflect.FieldDescriptor, path string) error {
	if fits(raw, field) {
		return nil
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	if brace, err := in.Token(); err != nil || brace != json.Delim('{') {
		return at(path, "must be an object, in braces")
	}
	for in.More() {
		token, err := in.Token()
		var value json.RawMessage
		if err = errors.Join(err, in.Decode(&value)); err != nil {
			return at(path, "cannot be read: %v", err)
		}
		name, _ := token.(string)
		if !fits(fmt.Appendf(nil, "{%q:%s}", "0", value), field) && !fits(fmt.Appendf(nil, "{%q:%s}", "x", value), field) {
			return at(join(path, shown(name)), "%s", wanted(value, field.MapValue()))
		}
	}
	return at(path, "has a name that is broken, or twice")
}

func mendValue(raw json.RawMessage, field protoreflect.FieldDescriptor, path string, depth int) (json.RawMessage, error) {
	if m := field.Message(); m != nil && m.ParentFile().Package() != "google.protobuf" {
		return mendMessage(raw, m, path, depth+1)
	}
	one := raw
	if field.IsList() {
		one = append(append([]byte("["), raw...), ']')
	}
	if fits(one, field) {
		return raw, nil
	}
	if field.Kind() == protoreflect.EnumKind {
		return mendEnum(raw, field.Enum(), path)
	}
	return nil, at(path, "%s", wanted(raw, field))
}

// fits asks protojson whether a value is one of a field.
func fits(raw json.RawMessage, field protoreflect.FieldDescriptor) bool {
	text := fmt.Appendf(nil, "{%q:%s}", field.JSONName(), raw)
	return protojson.Unmarshal(text, dynamicpb.NewMessage(field.ContainingMessage())) == nil
}

// fieldOf finds a field by either of its names.
func fieldOf(message protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := message.Fields().ByJSONName(name); field != nil {
		return field
	}
	return message.Fields().ByTextName(name)
}

func fieldsOf(message protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range message.Fields().Len() {
		names = append(names, message.Fields().Get(i).JSONName())
	}
	if len(names) == 0 {
		return []string{"none"}
	}
	return names
}

func asBytes(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, raw := range list {
		out[i] = raw
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// at is an error about the field at a path; an empty one is the request itself.
func at(path, format string, args ...any) error {
	if path == "" {
		path = "the request"
	}
	return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
}
