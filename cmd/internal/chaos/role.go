// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"io"

	"mailpush.internal/cmd/internal/program"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/schedulerwire"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
	worker "mailpush.internal/services/listener-worker"
)

// The roles a copy of this program is started in, as its first argument.
const (
	adminRole     = "chaos-admin"
	vaultRole     = "chaos-vault"
	schedulerRole = "chaos-scheduler"
	workerRole    = "chaos-worker"
	hastyRole     = "chaos-worker-hasty"
)

// beImpatient has a worker give up a request before the receivers of a run do.
func beImpatient(config *worker.Config) { config.WebhookTimeout = senderTimeout }

// Role runs this process as the child it was started as. played is false when it is
// none.
func Role(args []string, stdout, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 {
		return 0, false
	}
	var name string
	var build wire.Builder
	switch args[1] {
	case adminRole:
		name, build = identity.Admin, adminwire.Build
	case vaultRole:
		name, build = identity.Vault, vaultwire.Build
	case schedulerRole:
		name, build = identity.Scheduler, schedulerwire.Build
	case workerRole:
		name, build = identity.Worker, workerwire.BuildWith(beImpatient)
	case hastyRole:
		name, build = identity.Worker, workerwire.BuildWith(beHasty)
	default:
		return 0, false
	}
	return program.Main(name, build, "chaos", args[2:], stdout, stderr), true
}
