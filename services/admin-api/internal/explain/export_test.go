// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"maps"
	"slices"

	"mailpush.internal/services/admin-api/internal/decide"
)

// Causes are all causes, ascending.
func Causes() []decide.Cause { return slices.Sorted(maps.Keys(advice())) }
