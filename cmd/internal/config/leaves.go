// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Leaf is one setting with a fixed key, i.e. not below a map.
type Leaf struct {
	Key   string        // e.g. push.allowedClients
	Env   string        // e.g. MAILPUSH_PUSH_ALLOWED_CLIENTS
	Doc   string        // the field's doc tag
	Value reflect.Value // settable
}

// Leaves lists the settings of target, a pointer to a struct, in the order of its
// fields.
func Leaves(target any) []Leaf {
	var leaves []Leaf
	walk(reflect.ValueOf(target).Elem(), "", "", func(leaf Leaf) { leaves = append(leaves, leaf) })
	return leaves
}

func walk(value reflect.Value, path, doc string, visit func(Leaf)) {
	_, isText := reflect.TypeAssert[encoding.TextUnmarshaler](value.Addr())
	if value.Kind() != reflect.Struct || isText {
		visit(Leaf{Key: path, Env: envName(path), Doc: doc, Value: value})
		return
	}
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if name := yamlName(field); name != "" {
			walk(value.Field(i), join(path, name), field.Tag.Get("doc"), visit)
		}
	}
}

// envName turns push.allowedClients into MAILPUSH_PUSH_ALLOWED_CLIENTS.
func envName(key string) string {
	var out strings.Builder
	out.WriteString(EnvPrefix)
	lower := false
	for _, r := range key {
		switch {
		case r == '.':
			r, lower = '_', false
		case unicode.IsUpper(r):
			if lower {
				out.WriteByte('_')
			}
			lower = false
		default:
			lower = true
		}
		out.WriteRune(unicode.ToUpper(r))
	}
	return out.String()
}

func fromEnv(leaves []Leaf, environ []string, given Given) error {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		at := slices.IndexFunc(leaves, func(l Leaf) bool { return l.Env == name })
		// Other MAILPUSH_ variables are let be: the command line client has some,
		// and orchestrators make up more.
		if at < 0 {
			continue
		}
		if err := leaves[at].set(value); err != nil {
			return fmt.Errorf("reading %s from the environment: %w", name, err)
		}
		given.set(leaves[at].Key, name)
	}
	return nil
}

func fromFlags(leaves []Leaf, pairs []string, given Given) error {
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("--set %s: want key=value", key)
		}
		at := slices.IndexFunc(leaves, func(l Leaf) bool { return l.Key == key })
		if at < 0 {
			return unknownFlag(key, leaves)
		}
		if err := leaves[at].set(value); err != nil {
			return fmt.Errorf("--set %s: %w", key, err)
		}
		given.set(key, "--set "+key)
	}
	return nil
}

func unknownFlag(key string, leaves []Leaf) error {
	keys := make([]string, 0, len(leaves))
	for _, leaf := range leaves {
		keys = append(keys, leaf.Key)
	}
	if near := Nearest(key, keys); near != "" {
		return fmt.Errorf("--set %s: unknown key; did you mean %q?", key, near)
	}
	return fmt.Errorf("--set %s: unknown key", key)
}

// set reads a value as the YAML file would; text stays as it is, so that a
// password may look like a number.
func (l Leaf) set(text string) error {
	if into, ok := reflect.TypeAssert[encoding.TextUnmarshaler](l.Value.Addr()); ok {
		return into.UnmarshalText([]byte(text))
	}
	if l.Value.Kind() == reflect.String {
		l.Value.SetString(text)
		return nil
	}
	fresh := reflect.New(l.Value.Type())
	node, err := parse([]byte(text))
	if err == nil {
		if found := check(node, l.Value.Type(), l.Key); len(found) > 0 {
			return found[0].err
		}
		err = node.Decode(fresh.Interface())
	}
	if err != nil {
		return fmt.Errorf("%q does not fit: want %s", text, kindName(l.Value.Type()))
	}
	l.Value.Set(fresh.Elem())
	return nil
}

func kindName(typ reflect.Type) string {
	switch {
	case typ == reflect.TypeFor[time.Duration]():
		return "a duration like 30s or 5m"
	case typ == reflect.TypeFor[netip.Prefix]():
		return "a prefix like 10.1.0.0/16"
	case isText(typ):
		return "text"
	case typ.Kind() == reflect.Bool:
		return "true or false"
	case typ.Kind() == reflect.Slice:
		return "a list like [a, b] or []"
	case typ.Kind() == reflect.Map:
		return "a mapping like {name: {...}} or {}"
	case typ.Kind() == reflect.Struct:
		return "settings of its own below it"
	default:
		return "a number, whole and not negative"
	}
}
