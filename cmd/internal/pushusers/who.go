// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"

	"github.com/spf13/pflag"

	"mailpush.internal/pkg/userid"
)

// who is the one user that a command is about: USER@CONTEXT as its argument, or the two
// names as they are, by --user and --context.
type who struct{ user, context string }

func (w *who) register(flags *pflag.FlagSet) {
	flags.StringVarP(&w.context, "context", "c", "", "the user's `context` (tenant), in place of USER@CONTEXT")
	flags.StringVarP(&w.user, "user", "u", "", "the `user`, together with --context")
}

// check refuses a command line that names no user, or more than one.
func (w *who) check(command string, args []string) error {
	byFlags := w.user != "" || w.context != ""
	switch {
	case byFlags && len(args) > 0:
		return usagef("USER@CONTEXT and --user, --context are mutually exclusive")
	case byFlags && (w.user == "" || w.context == ""):
		return usagef("--user and --context go together")
	case !byFlags && len(args) != 1:
		return usagef("%s needs one USER@CONTEXT, for example 249@1, or --user and --context", command)
	}
	return nil
}

// names are the user's and the context's on a command line that was checked.
func (w *who) names(args []string) (userID, contextID string, err error) {
	if len(args) == 0 {
		return w.user, w.context, nil
	}
	return userAtContext(args[0])
}

// userAtContext takes a user's name apart, at the last @.
func userAtContext(name string) (userID, contextID string, err error) {
	userID, contextID, ok := userid.Split(name)
	switch {
	case ok:
		return userID, contextID, nil
	case strings.Contains(name, "@"):
		return "", "", usagef("%q: want USER@CONTEXT, for example 249@1 or anna@example.org@1: each has %s; the @ and %% of CONTEXT are written %%40 and %%25",
			name, userid.Chars)
	default:
		return "", "", usagef("%q: want USER@CONTEXT, for example 249@1", name)
	}
}

// userText writes a user's name so that userAtContext takes it.
func userText(of interface {
	GetUserId() string
	GetContextId() string
},
) string {
	return userid.Join(of.GetUserId(), of.GetContextId())
}
