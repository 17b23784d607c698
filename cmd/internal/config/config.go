// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package config fills a struct from one YAML file, the environment and
// key=value flags, in that order. Invariant: nothing is passed over in silence. An
// unknown key is an error with its line and the nearest known key, a value that
// does not fit, or is not there where only text may be empty, is an error with its key.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
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
func Load(target any, source Source) (Given, error) {
	given, leaves := Given{}, Leaves(target)
	if err := fromYAML(target, source, leaves, given); err != nil {
		return nil, err
	}
	if err := fromEnv(leaves, source.Env, given); err != nil {
		return nil, err
	}
	if err := fromFlags(leaves, source.Set, given); err != nil {
		return nil, err
	}
	return given, nil
}

func fromYAML(target any, source Source, leaves []Leaf, given Given) error {
	root, err := parse(source.YAML)
	if err != nil {
		return fmt.Errorf("reading %s: %w", source.Name, err)
	}
	if found := check(root, reflect.TypeOf(target).Elem(), ""); len(found) > 0 {
		errs := make([]error, len(found))
		for i, f := range found {
			errs[i] = fmt.Errorf("%s:%d: %w", source.Name, f.line, f.err)
		}
		return errors.Join(errs...)
	}
	if err := root.Decode(target); err != nil {
		return fmt.Errorf("reading %s: %w", source.Name, err)
	}
	for _, leaf := range leaves {
		if node := lookup(root, leaf.Key); node != nil {
			given.addNode(leaf.Key, source.Name, node)
		}
	}
	return nil
}

// parse reads the one document of a text, null when there is none. A further one is
// an error: whoever wrote it expects it to count.
func parse(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, further yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	case err != nil:
		return nil, err
	}
	switch err := decoder.Decode(&further); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document begins here; want one", further.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return document.Content[0], nil
}

// lookup finds what a mapping says of a key with dots, nil when that is nothing.
func lookup(node *yaml.Node, key string) *yaml.Node {
	for name := range strings.SplitSeq(key, ".") {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		at := -1
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				at = i + 1
			}
		}
		if at < 0 {
			return nil
		}
		node = node.Content[at]
	}
	return node
}
