// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package config fills a struct from one YAML file, the environment and
// key=value flags, in that order. Invariant: nothing is passed over in silence. An
// unknown key is an error with its line and the nearest known key, a value that
// does not fit is an error with its key.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// EnvPrefix is in front of every environment variable; the rest is the key in
// capitals: push.allowedClients is MAILPUSH_PUSH_ALLOWED_CLIENTS.
const EnvPrefix = "MAILPUSH_"

// Source is where settings come from. Later fields win over earlier ones.
type Source struct {
	Name string   // the file's name, for errors
	YAML []byte   // the file's text; may be empty
	Env  []string // NAME=value, as of [os.Environ]
	Set  []string // key=value, from flags
}

// Load fills target, a pointer to a struct with yaml tags, over the values it
// already has. All errors of the file are reported at once.
func Load(target any, source Source) error {
	if err := fromYAML(target, source.Name, source.YAML); err != nil {
		return err
	}
	leaves := Leaves(target)
	if err := fromEnv(leaves, source.Env); err != nil {
		return err
	}
	return fromFlags(leaves, source.Set)
}

func fromYAML(target any, name string, text []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if errs := unknownKeys(root, reflect.TypeOf(target).Elem(), ""); len(errs) > 0 {
		for i := range errs {
			errs[i] = fmt.Errorf("%s:%w", name, errs[i])
		}
		return errors.Join(errs...)
	}
	if err := root.Decode(target); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// unknownKeys walks a mapping beside the type it is meant for.
func unknownKeys(node *yaml.Node, typ reflect.Type, path string) []error {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	var errs []error
	switch {
	case node.Kind == yaml.AliasNode:
		return unknownKeys(node.Alias, typ, path)
	case typ.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		fields := fieldsOf(typ)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			field, known := fields[key.Value]
			if !known {
				errs = append(errs, unknownKey(key, fields, path))
				continue
			}
			errs = append(errs, unknownKeys(value, field.Type, join(path, key.Value))...)
		}
	case typ.Kind() == reflect.Map && node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			errs = append(errs, unknownKeys(node.Content[i+1], typ.Elem(), join(path, node.Content[i].Value))...)
		}
	case typ.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			errs = append(errs, unknownKeys(item, typ.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return errs
}

func unknownKey(key *yaml.Node, fields map[string]reflect.StructField, path string) error {
	known := make([]string, 0, len(fields))
	for name := range fields {
		known = append(known, name)
	}
	slices.Sort(known)
	full := join(path, key.Value)
	if near := nearest(key.Value, known); near != "" {
		return fmt.Errorf("%d: unknown key %q; did you mean %q?", key.Line, full, join(path, near))
	}
	return fmt.Errorf("%d: unknown key %q; known here: %s", key.Line, full, strings.Join(known, ", "))
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
