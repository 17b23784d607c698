// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keep returns the text kept in dir under name, making it on first use. fresh
// tells whether it was made just now.
func keep(dir, name string, create func() string) (value string, fresh bool, err error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), false, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", false, fmt.Errorf("reading a secret: %w", err)
	}
	value = create()
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		return "", false, fmt.Errorf("keeping a secret: %w", err)
	}
	return value, true, nil
}

// Keep returns the text kept in dir under name, making dir and the text on first
// use. The file is readable by its owner only.
func Keep(dir, name string, create func() string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the data directory: %w", err)
	}
	value, _, err := keep(dir, name, create)
	return value, err
}

// newSecret makes 160 random bits that are easy to type.
func newSecret() string {
	raw := make([]byte, 20)
	_, _ = rand.Read(raw) // never returns an error
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw))
}
