// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// finding is something wrong with a YAML value, and its line.
type finding struct {
	line int
	err  error
}

// check walks a value beside the type it is meant for, and finds keys that are not
// known and values that are missing.
func check(node *yaml.Node, typ reflect.Type, path string) []finding {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	var found []finding
	switch {
	case node.Kind == yaml.AliasNode:
		return check(node.Alias, typ, path)
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" && !mayBeEmpty(typ):
		// Decoding would make it zero: an empty list of allowed clients allows all.
		return []finding{{node.Line, fmt.Errorf("%s is empty: want %s", path, kindName(typ))}}
	case typ.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		fields := fieldsOf(typ)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			field, known := fields[key.Value]
			if !known {
				found = append(found, unknownKey(key, fields, path))
				continue
			}
			found = append(found, check(value, field.Type, join(path, key.Value))...)
		}
	case typ.Kind() == reflect.Map && node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			found = append(found, check(node.Content[i+1], typ.Elem(), join(path, node.Content[i].Value))...)
		}
	case typ.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			found = append(found, check(item, typ.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return found
}

// mayBeEmpty tells whether nothing is a value: text, and a group of settings of which
// none is given.
func mayBeEmpty(typ reflect.Type) bool {
	return typ.Kind() == reflect.String || typ.Kind() == reflect.Struct ||
		reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func unknownKey(key *yaml.Node, fields map[string]reflect.StructField, path string) finding {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	slices.Sort(known)
	full := join(path, key.Value)
	if near := nearest(key.Value, known); near != "" {
		return finding{key.Line, fmt.Errorf("unknown key %q; did you mean %q?", full, join(path, near))}
	}
	return finding{key.Line, fmt.Errorf("unknown key %q; known here: %s", full, strings.Join(known, ", "))}
}

func fieldsOf(typ reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField, typ.NumField())
	for field := range typ.Fields() {
		if name := yamlName(field); name != "" {
			fields[name] = field
		}
	}
	return fields
}

func yamlName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
