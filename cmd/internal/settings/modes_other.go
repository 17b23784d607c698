// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package settings

// inMemory needs Linux; elsewhere services are developed, not run.
func inMemory(string) bool { return false }
