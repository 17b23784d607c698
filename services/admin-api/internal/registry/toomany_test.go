// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"testing"

	"mailpush.internal/pkg/fault"
)

// A limit that waiting alone does not lift is not to be tried every minute.
func TestOneSubscriptionTooManyIsNotTriedOften(t *testing.T) {
	t.Parallel()
	refused, ok := errors.AsType[*fault.Error](TooMany(UserID{Context: "1", User: "249"}))
	if !ok || refused.Kind != fault.Exhausted || refused.RetryAfter.Hours() < 1 {
		t.Errorf("refused with %+v", refused)
	}
}
