// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// ProgramEnv is the environment variable that names another dovecot than the installed one.
const ProgramEnv = "MAILPUSH_TEST_DOVECOT"

// program is a dovecot, and the configuration in its language.
type program struct{ path, configuration string }

// findProgram finds the program, and asks it which version it is.
func findProgram(ctx context.Context) (program, error) {
	path, err := programPath()
	if err != nil {
		return program{}, err
	}
	version, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return program{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	switch {
	case bytes.HasPrefix(version, []byte("2.3.")):
		return program{path, configuration23}, nil
	case bytes.HasPrefix(version, []byte("2.4.")):
		return program{path, configuration24}, nil
	}
	return program{}, fmt.Errorf("%s is version %q: only 2.3 and 2.4 can be configured", path, bytes.TrimSpace(version))
}

// programPath is where the program is, also where that is not in the PATH of normal users.
func programPath() (string, error) {
	if path := os.Getenv(ProgramEnv); path != "" {
		return path, nil
	}
	if path, err := exec.LookPath("dovecot"); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath("/usr/sbin/dovecot"); err == nil {
		return path, nil
	}
	return "", errors.New("dovecot is not installed: run scripts/install-test-deps")
}
