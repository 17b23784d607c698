// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package secret

// NoDumps does nothing where the kernel cannot be asked for it.
func NoDumps() error { return nil }
