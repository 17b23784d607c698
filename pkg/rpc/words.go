// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// mendEnum writes the name of a value out. The prefix that all names of an enum have may be
// left out: it is there for languages, not for people.
func mendEnum(raw json.RawMessage, enum protoreflect.EnumDescriptor, path string) (json.RawMessage, error) {
	var name string
	if json.Unmarshal(raw, &name) != nil {
		return nil, at(path, "must be one of %s", strings.Join(choices(enum), ", "))
	}
	prefix := enumPrefix(enum)
	if value := enum.Values().ByName(protoreflect.Name(prefix + name)); prefix != "" && value != nil {
		return json.Marshal(string(value.Name()))
	}
	text := fmt.Sprintf("%q is none of %s", shown(name), strings.Join(choices(enum), ", "))
	if prefix != "" {
		text += "; " + prefix + " may be left out"
	}
	return nil, at(path, "%s", text)
}

// unspecified is how the name of the value ends that means "not said".
const unspecified = "UNSPECIFIED"

func enumPrefix(enum protoreflect.EnumDescriptor) string {
	prefix, found := strings.CutSuffix(string(enum.Values().Get(0).Name()), unspecified)
	if !found {
		return ""
	}
	return prefix
}

// choices are the names of an enum's values that mean something.
func choices(enum protoreflect.EnumDescriptor) []string {
	var names []string
	for i := range enum.Values().Len() {
		if name := string(enum.Values().Get(i).Name()); !strings.HasSuffix(name, "_"+unspecified) {
			names = append(names, name)
		}
	}
	return names
}

// wanted says what belongs where a value does not fit. It repeats nothing that may be a
// secret.
func wanted(raw json.RawMessage, field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.StringKind:
		return wantedText(raw)
	case protoreflect.BoolKind:
		return "must be true or false"
	case protoreflect.BytesKind:
		return "must be text in base64"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return fmt.Sprintf("must be a whole number from %d to %d", math.MinInt32, math.MaxInt32)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return fmt.Sprintf("must be a whole number from 0 to %d", uint32(math.MaxUint32))
	case protoreflect.MessageKind:
		return wantedWellKnown(raw, field.Message().FullName())
	default:
		return "must be a " + strings.TrimLeft(field.Kind().String(), "sfixedu") + " number"
	}
}

// wantedText tells text that is broken from what is no text.
func wantedText(raw json.RawMessage) string {
	switch {
	case raw[0] != '"':
		return "must be text, in quotes"
	case !utf8.Valid(raw):
		return "is broken text: it holds bytes that are no UTF-8"
	default:
		return `is broken text: it holds one half of a surrogate pair (\ud800 to \udfff), which is no character`
	}
}

func wantedWellKnown(raw json.RawMessage, name protoreflect.FullName) string {
	switch name {
	case "google.protobuf.Duration":
		return wantedDuration(raw)
	case "google.protobuf.Timestamp":
		return `must be a time as in "2026-11-30T09:38:21Z"`
	default:
		return "must be a " + string(name)
	}
}

// wantedDuration explains the one form that durations have in JSON, seconds, to people who
// write them as they speak.
func wantedDuration(raw json.RawMessage) string {
	text := string(raw)
	_ = json.Unmarshal(raw, &text) // a number stays as it is
	if d, ok := spoken(text); ok {
		seconds := strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		return fmt.Sprintf("%s must be written in seconds, with their unit: %q", shown(string(raw)), seconds+"s")
	}
	return `must be a duration in seconds, with their unit, as in "300s" for five minutes`
}

// spoken reads a duration as people and programs write one: 5m, 1h 30m, 7d, 2w, and a bare
// number of seconds.
func spoken(text string) (time.Duration, bool) {
	text = strings.ReplaceAll(strings.TrimSpace(text), " ", "")
	if d, err := time.ParseDuration(text); err == nil {
		return d, true
	}
	unit := time.Second
	for suffix, of := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if cut, found := strings.CutSuffix(text, suffix); found {
			text, unit = cut, of
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if n *= unit.Seconds(); err != nil || math.IsNaN(n) || math.Abs(n) >= math.MaxInt64/float64(time.Second) {
		return 0, false
	}
	return time.Duration(n * float64(time.Second)), true
}

// shown is what a caller has written, short enough to be repeated.
func shown(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
