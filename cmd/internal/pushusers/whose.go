// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"slices"

	"github.com/spf13/pflag"
)

// whose narrows a list to one context or to one user: -c CONTEXT, -u USER@CONTEXT, or
// both with a bare USER.
type whose struct{ context, user string }

func (w *whose) register(flags *pflag.FlagSet) {
	flags.StringVarP(&w.context, "context", "c", "", "only what is of this `context` (tenant)")
	flags.StringVarP(&w.user, "user", "u", "", "only what is of this `user`: USER@CONTEXT, or USER with --context")
}

// resolve takes the user's name apart, unless the context stands for itself.
func (w *whose) resolve() (userID, contextID string, err error) {
	if w.user == "" || w.context != "" {
		return w.user, w.context, nil
	}
	userID, contextID, err = userAtContext(w.user)
	if err != nil {
		return "", "", usagef("--user %q: want USER@CONTEXT, for example 249@1, or USER together with --context", w.user)
	}
	return userID, contextID, nil
}

// ofUser keeps what is of one user, and of one context where that is named. What the
// server narrows by itself passes as it is.
func ofUser[T interface {
	GetUserId() string
	GetContextId() string
}](list []T, userID, contextID string,
) []T {
	return slices.DeleteFunc(list, func(of T) bool {
		return userID != "" && of.GetUserId() != userID || contextID != "" && of.GetContextId() != contextID
	})
}
