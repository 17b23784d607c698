// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package secret keeps passwords, passphrases and tokens out of everything that
// is printed. Invariant: the clear text of a String leaves it only through Reveal.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// String is a secret text. It prints, logs and marshals as [redacted]; the zero
// value is the empty secret. It is safe for concurrent use.
type String struct {
	// A pointer, because fmt prints the unexported fields of a struct without
	// asking their methods: of a pointer it shows only the address.
	clear *string
}

// New wraps text so that it cannot be printed by accident.
func New(text string) String { return String{&text} }

// Reveal returns the clear text. Call it where the secret is used, no earlier.
func (s String) Reveal() string {
	if s.clear == nil {
		return ""
	}
	return *s.clear
}

// IsZero tells whether the secret is empty.
func (s String) IsZero() bool { return s.Reveal() == "" }

// String implements [fmt.Stringer] and hides the secret.
func (String) String() string { return redacted }

// Format implements [fmt.Formatter] and hides the secret from every verb.
func (String) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue implements [slog.LogValuer] and hides the secret.
func (String) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] and hides the secret, from JSON too.
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes the text as it is.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
