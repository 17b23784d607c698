// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"

	"github.com/spf13/cobra"

	"mailpush.internal/cmd/internal/config"
)

// noArguments refuses stray words, which are most often a mistyped command or a
// forgotten option letter.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unexpected(cmd, args[0])
	}
	return nil
}

// unexpected refuses a word that no command takes, and says which was meant if one
// comes close.
func unexpected(cmd *cobra.Command, word string) error {
	if meant := didYouMean(cmd, word); meant != "" {
		return usagef("unexpected argument %q; did you mean '%s'?", word, meant)
	}
	return usagef("unexpected argument %q", word)
}

// didYouMean is the command that a word comes close to, one of cmd's own first, or the
// mode of the original. It is empty when nothing is near.
func didYouMean(cmd *cobra.Command, word string) string {
	root := cmd.Root()
	if word == "" {
		return ""
	}
	for _, parent := range append([]*cobra.Command{cmd, root}, root.Commands()...) {
		parent.SuggestionsMinimumDistance = min(2, (len(word)+1)/3)
		if near := parent.SuggestionsFor(word); len(near) > 0 {
			return parent.CommandPath() + " " + near[0]
		}
	}
	if mode := config.Nearest(word, []string{"list", "unregister", "list-client-registrations"}); mode != "" {
		return root.Name() + " --" + mode
	}
	return ""
}

// addCompletion adds cobra's command, once it is known where it writes. An unknown shell is
// a mistake like any other.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = noArguments
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// helpCommand is cobra's, but for what there is no help on: that is a mistake like any
// other.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		Long:  "help prints the help of a command, as --help does.",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unexpected(about, args[len(args)-max(len(rest), 1)])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []cobra.Completion
			for _, sub := range about.Commands() {
				if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), typed) {
					names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
