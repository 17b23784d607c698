// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import "github.com/spf13/cobra"

const about = `pushusers lists and unregisters the push users of a mailpush cluster.

Without a mode, or with --list, it prints the running listeners of the whole cluster.
A listener that is connecting, idle, polling or backing off counts as running; one
that is suspended, because its mail store refused the password, or unknown, because
its worker did not answer, appears only in the wide and JSON output; standard error
says how many there are.

The administrator's password is better kept out of the command line, where every user
of this machine can read it in the process list: put it into a file and name the file
with --adminpass-file, or set MAILPUSH_ADMIN_PASSWORD.

Environment:
  MAILPUSH_ADMIN_USER      the administrator, where --adminuser is not given
  MAILPUSH_ADMIN_PASSWORD  the password, where neither --adminpass nor
                           --adminpass-file is given

Exit codes:
  0  done; a list may be empty
  1  the command line is wrong
  2  no such push registration, user, worker, mail store or subscription
  3  the administrator's name or password is wrong, or was too often, or not allowed
     to do this
  4  the server cannot be reached, or did not answer in time
  5  the server answered with an error, an endpoint did not accept a test push, or
     the answer could not be written`

const examples = `  List the running listeners, with the password from a file or, in all that follow,
  from the environment:
    pushusers --adminpass-file /etc/mailpush/adminpass

  The same from another machine, and what each listener is doing:
    pushusers -A alice -s https://push.example.com -o wide

  List which client of which user is registered, of one user too:
    pushusers -l
    pushusers -l -u 249@1

  Unregister a client; with the user's last one, the listener stops and the stored
  password is deleted:
    pushusers -r -c 1 -u 249 -i open-xchange-mobile-api-facade

  Say why a user gets no pushes, and what to do:
    pushusers explain 249@1

  Say what has happened to a user, and have nothing more pushed:
    pushusers history 249@1 --since 7d
    pushusers users disable 249@1 --reason 'account is being moved'

  Say where pushes go and what stands in the way, and try an endpoint:
    pushusers subscriptions 249@1
    pushusers subscriptions test sub_nb2w45dfoizajzazx4i6qkwkaq

  Relieve a worker of its work before its machine is looked after, and give it back:
    pushusers workers
    pushusers drain 4fzk
    pushusers undrain 4fzk

  Have listeners try again at once, after an outage of a mail store that is over:
    pushusers retry --store demo

  Count the suspended listeners in a script:
    pushusers -o json |
      jq '[.pushUsers[] | select(.state == "LISTENER_STATE_SUSPENDED")] | length'`

// rootCommand is the command without a subcommand: the modes of the original, which
// are options.
func (a *app) rootCommand() *cobra.Command {
	var m modes
	root := &cobra.Command{
		Use:           "pushusers",
		Short:         "List and unregister the push users of a mailpush cluster",
		Long:          about,
		Example:       examples,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.check(); err != nil {
				return err
			}
			switch {
			case m.registrations:
				return a.listRegistrations(cmd.Context(), m.whose)
			case m.unregister:
				return a.unregister(cmd.Context(), m.context, m.user, m.client)
			default:
				return a.listPushUsers(cmd.Context(), m.whose)
			}
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return refuseEmpty(cmd) },
	}
	root.Flags().SortFlags = false
	root.PersistentFlags().SortFlags = false
	m.register(root.Flags())
	a.connection.register(root.PersistentFlags())
	root.PersistentFlags().VarP(&a.output, "output", "o", "table, wide or json")
	root.PersistentFlags().BoolP("help", "h", false, "print this help")
	// The only error is a flag of another name.
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputFormats(), cobra.ShellCompDirectiveNoFileComp))
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(helpCommand())
	root.AddCommand(a.drainCommand(), a.explainCommand(), a.historyCommand(), a.retryCommand(), a.subscriptionsCommand(),
		a.undrainCommand(), a.usersCommand(), a.workersCommand())
	return root
}
