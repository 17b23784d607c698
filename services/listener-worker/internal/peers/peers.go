// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package peers calls other services: the registry that admin-api keeps, and the
// credential-vault. Invariant: every call is bounded in time and in size, and its error is
// a fault of the kind the other side gave; a clear secret is returned to the caller and
// kept nowhere, and no error quotes one.
package peers

import "time"

const callTimeout = 10 * time.Second
