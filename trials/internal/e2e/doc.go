// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the tests that run mailpush as operators do: the real binaries
// as processes of their own, against etcd, PostgreSQL and Dovecot. Invariant: the
// tests know the binaries, the configuration file and the public API, no Go package
// of any service.
package e2e
