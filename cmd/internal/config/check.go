// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// finding is something wrong with a YAML value, and its line.
type finding struct {
	line int
	err  error
}

// check walks a value beside the type it is meant for, and finds keys that are not
// known, values that are missing and values that do not fit.
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
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
	case isText(typ) || !isNested(typ):
		return fits(node, typ, path)
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
	default:
		return []finding{misfit(node, typ, path)}
	}
	return found
}

// fits tries a single value. It is shown unless it may be a secret: those are text, of
// which everything fits that is one value.
func fits(node *yaml.Node, typ reflect.Type, path string) []finding {
	if node.Kind != yaml.ScalarNode {
		return []finding{misfit(node, typ, path)}
	}
	_, unit := reflect.TypeAssert[*time.Duration](reflect.New(typ))
	if err := node.Decode(reflect.New(typ).Interface()); err != nil || unit && node.ShortTag() == "!!int" && node.Value != "0" {
		return []finding{{node.Line, fmt.Errorf("%s: %q does not fit: want %s", path, node.Value, kindName(typ))}}
	}
	return nil
}

// misfit is a list, a mapping or a single value where another of them belongs.
func misfit(node *yaml.Node, typ reflect.Type, path string) finding {
	if path == "" {
		return finding{node.Line, errors.New("want settings, each as its key and a value")}
	}
	return finding{node.Line, fmt.Errorf("%s: want %s", path, kindName(typ))}
}

// isText tells whether a type reads itself from one value.
func isText(typ reflect.Type) bool {
	return typ.Kind() == reflect.String || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isNested tells whether there are values in a value.
func isNested(typ reflect.Type) bool {
	return typ.Kind() == reflect.Struct || typ.Kind() == reflect.Map || typ.Kind() == reflect.Slice
}

// mayBeEmpty tells whether nothing is a value: text, and a group of settings of which
// none is given.
func mayBeEmpty(typ reflect.Type) bool {
	return isText(typ) || typ.Kind() == reflect.Struct
}

func unknownKey(key *yaml.Node, fields map[string]reflect.StructField, path string) finding {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	slices.Sort(known)
	full := join(path, key.Value)
	if near := Nearest(key.Value, known); near != "" {
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
