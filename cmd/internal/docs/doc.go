// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package docs holds the documents of the repository against the repository. It is tests
// only. Invariant: every document fits on its page, every link leads to a file and a
// heading that exist, every path and make target that a document names exists, and the
// page of the API has every procedure.
package docs
