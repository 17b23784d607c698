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
// tells whether it was made just now. No text is ever empty: an empty password would
// open what it is to close.
func keep(dir, name string, create func() string) (value string, fresh bool, err error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		value = create()
		if err := writeDurably(path, value+"\n"); err != nil {
			return "", false, fmt.Errorf("keeping a secret: %w", err)
		}
		return value, true, nil
	case err != nil:
		return "", false, fmt.Errorf("reading a secret: %w", err)
	}
	if value = strings.TrimSpace(string(text)); value == "" {
		return "", false, fmt.Errorf("reading a secret: %s is empty; restore it, or remove it and a new one is made", path)
	}
	return value, false, nil
}

// writeDurably writes a file that only its owner can read, whole or not at all: what
// is sealed under a passphrase reaches the disk, so the passphrase must do so first,
// and a full disk must not leave half of it.
func writeDurably(path, text string) error {
	next := path + ".new"
	if err := writeSynced(next, text); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func writeSynced(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
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
