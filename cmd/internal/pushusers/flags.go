// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailpush.internal/cmd/internal/config"
)

// wrongFlag says what is wrong with an option. It shows no value: -p where -P was meant
// has a password for its port.
func wrongFlag(cmd *cobra.Command, err error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s: %s", wrong.GetFlag().Name, wanted(wrong))
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usagef("--%s needs a value", missing.GetFlag().Name)
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, unknown)
	}
	return usagef("a flag without a name: want --NAME or --NAME=VALUE")
}

// wanted is why a value does not fit its option.
func wanted(wrong *pflag.InvalidValueError) string {
	if _, isNumber := errors.AsType[*strconv.NumError](wrong.Unwrap()); !isNumber {
		return wrong.Unwrap().Error()
	}
	if wrong.GetFlag().Value.Type() == "bool" {
		return "want true or false, or no value"
	}
	return "want a whole number that is not negative"
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	if unknown.GetSpecifiedShortnames() != "" {
		return usagef("unknown flag: -%s", unknown.GetSpecifiedName())
	}
	var known []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { known = append(known, flag.Name) })
	if near := config.Nearest(unknown.GetSpecifiedName(), known); near != "" {
		return usagef("unknown flag: --%s; did you mean --%s?", unknown.GetSpecifiedName(), near)
	}
	return usagef("unknown flag: --%s", unknown.GetSpecifiedName())
}

// refuseEmpty refuses options that were given without text. In scripts that is a
// variable that is not set: -c "$CONTEXT" must not list every context, and -P
// "$PASSWORD" not ask as somebody else.
func refuseEmpty(cmd *cobra.Command) error {
	var err error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if err == nil && flag.Value.Type() == "string" && flag.Value.String() == "" {
			err = usagef("--%s must not be empty", flag.Name)
		}
	})
	return err
}

// mayHoldPassword tells whether a word may be a password, or a part of one: one is on
// the command line, or an administrator is whose password comes from nowhere else.
func mayHoldPassword(flags *pflag.FlagSet) bool {
	elsewhere := flags.Changed("adminpass-file") || os.Getenv(envPassword) != ""
	return flags.Changed("adminpass") || flags.Changed("adminuser") && !elsewhere
}

// hidePassword takes the words of a command line with a password on it out of a message
// about that command line: without its quotes a password is two words, and with its
// letter forgotten it is one that is not expected.
func hidePassword(cmd *cobra.Command, message string) string {
	if cmd == nil || !mayHoldPassword(cmd.Flags()) {
		return message
	}
	for _, word := range cmd.Flags().Args() {
		if word != "" {
			message = strings.ReplaceAll(message, strconv.Quote(word), "(not shown, for it may belong to a password)")
		}
	}
	return message
}
