// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"strings"

	"github.com/spf13/pflag"
)

// modes are the options of the original that say what to do, and to whom.
type modes struct {
	list, registrations, unregister bool
	whose                           // to whom, in every mode
	client                          string
}

func (m *modes) register(flags *pflag.FlagSet) {
	flags.BoolVar(&m.list, "list", false, "list the running listeners; the default")
	flags.BoolVarP(&m.registrations, "list-client-registrations", "l", false, "list which client of which user is registered")
	flags.BoolVarP(&m.unregister, "unregister", "r", false, "unregister a client; needs --context, --user and --client")
	flags.StringVarP(&m.context, "context", "c", "", "the `context` (tenant); narrows a list to it")
	flags.StringVarP(&m.user, "user", "u", "", "the `user` to unregister; USER@CONTEXT, or USER with --context, narrows a list")
	flags.StringVarP(&m.client, "client", "i", "", "the `client` to unregister")
}

// check refuses modes that exclude each other and a mode without what it needs.
func (m *modes) check() error {
	switch {
	case m.registrations && m.unregister:
		return usagef("The options -l and -r are mutually exclusive.")
	case m.list && m.registrations:
		return usagef("The options --list and -l are mutually exclusive.")
	case m.list && m.unregister:
		return usagef("The options --list and -r are mutually exclusive.")
	case m.unregister:
		return m.checkUnregister()
	case m.client != "":
		return usagef("--client only goes with --unregister")
	}
	return nil
}

func (m *modes) checkUnregister() error {
	var missing []string
	for _, option := range []struct{ name, value string }{
		{"-c/--context", m.context}, {"-u/--user", m.user}, {"-i/--client", m.client},
	} {
		if option.value == "" {
			missing = append(missing, option.name)
		}
	}
	if len(missing) > 0 {
		return usagef("--unregister also needs %s", strings.Join(missing, " and "))
	}
	return nil
}
