// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Given tells where each setting that was given comes from, by its key: a file and
// line, the name of a variable, or a flag. Of lists and mappings in a file it also tells
// where each part stands, under keys like mail.stores.main.address and
// admin.applications[0].name.
type Given map[string]string

// At tells where a setting, or the least that holds it, was given. It is empty for what
// comes from nowhere.
func (g Given) At(key string) string {
	for key != "" {
		if where, ok := g[key]; ok {
			return where
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return ""
}

// set takes the place of all that was given of a setting before.
func (g Given) set(key, where string) {
	for part := range g {
		if strings.HasPrefix(part, key+".") || strings.HasPrefix(part, key+"[") {
			delete(g, part)
		}
	}
	g[key] = where
}

// addNode adds a value and its parts. What an anchor holds stands where it is used.
func (g Given) addNode(key, file string, node *yaml.Node) {
	g[key] = fmt.Sprintf("%s:%d", file, node.Line)
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			g.addNode(join(key, node.Content[i].Value), file, node.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, item := range node.Content {
			g.addNode(fmt.Sprintf("%s[%d]", key, i), file, item)
		}
	default:
	}
}
