// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package check is nothing but tests: they hold the Helm chart beside it against Helm,
// the schemas of Kubernetes, and the programs that are to run on what it renders. The
// module is no part of the workspace, for no other lane should build Helm.
package check
