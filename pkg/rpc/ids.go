// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"buf.build/go/protovalidate"

	"mailpush.internal/pkg/userid"
)

// idRule says in words what an id of a context or of a user looks like, where it is its
// pattern that was broken.
func idRule(violation *protovalidate.Violation) (words string, ok bool) {
	if violation.Proto.GetRuleId() != "string.pattern" {
		return "", false
	}
	switch violation.RuleValue.String() {
	case userid.Pattern:
		return "must be " + userid.Chars, true
	case userid.Filter:
		return "must be empty, or " + userid.Chars, true
	default:
		return "", false
	}
}
