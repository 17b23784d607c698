// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package deployments holds what is in deployments/ against the programs it starts, but
// for the Helm chart, which a module of its own beside it does (make lint-chart).
// It is tests only. Invariant: every container file, compose file and unit names
// programs, flags, settings, ports and files that exist, every alert, panel and document
// metrics that services export, and docs/metrics.md all of them.
package deployments
