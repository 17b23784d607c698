// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"mailpush.internal/pkg/secret"
)

func TestStringNeverPrints(t *testing.T) {
	t.Parallel()
	const plain = "hunter2"
	s := secret.New(plain)
	inside := struct {
		Name     string
		Password secret.String
		Pointer  *secret.String
		hidden   secret.String
	}{"anna", s, &s, s}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", inside)
	}
	encoded, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "password", s, "inside", inside)

	hex := fmt.Sprintf("%x", plain)
	if text := out.String(); strings.Contains(text, plain) || strings.Contains(text, hex) {
		t.Errorf("the secret was printed:\n%s", text)
	}
	if s.Reveal() != plain {
		t.Errorf("Reveal() = %q, want %q", s.Reveal(), plain)
	}
}
