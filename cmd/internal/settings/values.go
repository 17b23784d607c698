// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/secret"
)

// Values tell one state of all settings from the next, by their keys: their values and what
// is in the files that they name, as hashes, so that no secret is kept.
type Values map[string]value

type value [sha256.Size]byte

// none is the value of a setting that is empty.
var none value //nolint:gochecknoglobals // it is a constant

// maxFile bounds what is read of a file: certificates and secrets are small.
const maxFile = 1 << 20

// Values reads the files that settings name, of certificates those of the services.
func (s *Settings) Values(services ...string) Values {
	out := make(Values)
	for _, leaf := range s.leaves() {
		text := fmt.Sprint(leaf.Value.Interface())
		if hidden, ok := reflect.TypeAssert[secret.String](leaf.Value); ok {
			text = hidden.Reveal()
		}
		if text == "" {
			out[leaf.Key] = none
			continue
		}
		if isFile(leaf.Key) {
			text += "\n" + contents(text)
		}
		if leaf.Key == "identity.dir" {
			for _, file := range s.certificates(services) {
				text += "\n" + contents(file)
			}
		}
		out[leaf.Key] = sha256.Sum256([]byte(text))
	}
	return out
}

// Files are the files that the settings name, of certificates those of the services,
// ascending.
func (s *Settings) Files(services ...string) []string {
	files := s.certificates(services)
	for _, leaf := range s.leaves() {
		if name, ok := reflect.TypeAssert[string](leaf.Value); ok && name != "" && isFile(leaf.Key) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func isFile(key string) bool { return strings.HasSuffix(key, "File") }

func (s *Settings) certificates(services []string) []string {
	var files []string
	for _, service := range services {
		of := s.IdentityFiles(service)
		files = append(files, of.CA, of.Cert, of.Key)
	}
	return files
}

// leaves are all settings, with those in lists and mappings below the keys of these.
func (s *Settings) leaves() []config.Leaf {
	var out []config.Leaf
	for _, leaf := range config.Leaves(s) {
		out = append(out, within(leaf)...)
	}
	return out
}

func within(leaf config.Leaf) []config.Leaf {
	var out []config.Leaf
	add := func(key string, of reflect.Value) {
		own := reflect.New(of.Type()) // what is in a mapping cannot be set in place
		own.Elem().Set(of)
		for _, one := range config.Leaves(own.Interface()) {
			one.Key = key + "." + one.Key
			out = append(out, one)
		}
	}
	stores, mapping := reflect.TypeAssert[map[string]Store](leaf.Value) // the one mapping there is
	switch of := leaf.Value; {
	case mapping:
		for _, name := range slices.Sorted(maps.Keys(stores)) {
			add(leaf.Key+"."+name, reflect.ValueOf(stores[name]))
		}
	case of.Kind() == reflect.Slice && of.Type().Elem().Kind() == reflect.Struct && of.Type().Elem().PkgPath() == reflect.TypeFor[Settings]().PkgPath():
		for i := range of.Len() {
			add(item(leaf.Key, i), of.Index(i))
		}
	default:
		out = append(out, leaf)
	}
	return out
}

// contents is what is in a file, or why that cannot be said. Whatever is not a file, such
// as a pipe, is left alone: it could be read once only.
func contents(name string) string {
	text, err := ReadFile(name)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	return string(text)
}

var errNoFile = errors.New("it is no file, and what is no file is read at the start only")

// ReadFile reads a small file that may be read again.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: %w", name, errNoFile)
	}
	file, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile))
}

// differs are the keys under which two states differ.
func (v Values) differs(next Values) map[string]bool {
	out := make(map[string]bool)
	for key, hash := range v {
		if now, there := next[key]; !there || now != hash {
			out[key] = true
		}
	}
	for key := range next {
		if _, there := v[key]; !there {
			out[key] = true
		}
	}
	return out
}
