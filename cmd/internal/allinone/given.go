// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package allinone

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire/adminwire"
	"mailpush.internal/cmd/internal/wire/vaultwire"
	"mailpush.internal/cmd/internal/wire/workerwire"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
)

// decided are the settings, with all below them, that New makes by itself: where it
// keeps things in its directory, and where its services find each other.
func decided() []string {
	return []string{
		"cluster.etcd", "identity",
		"admin.database", "admin.databaseFile", "admin.internalAddress",
		"vault.database", "vault.databaseFile", "vault.address",
		"scheduler.address", "worker.advertise",
	}
}

// Refuse names the settings that were given although New would not look at them.
func Refuse(given config.Given) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		for _, own := range decided() {
			// What is in a list goes with the list.
			if key == own || strings.HasPrefix(key, own+".") && !strings.Contains(key, "[") {
				errs = append(errs, fmt.Errorf("%s: %s must not be given: a mailpush in one process decides it by itself", given[key], key))
			}
		}
	}
	return errors.Join(errs...)
}

// Check tells everything that would keep New from running all services with the
// settings, without making anything.
func Check(s *settings.Settings) error {
	// What New makes where the settings are silent is taken as made.
	whole := *s
	made := secret.New(newSecret())
	if storage := &whole.Push.CredStorage; storage.Passcrypt.IsZero() && storage.PasscryptFile == "" {
		storage.Passcrypt = made
	}
	if len(whole.Admin.Administrators) == 0 {
		whole.Admin.Administrators = administrator(made)
	}
	return validate(&whole, order())
}

func validate(s *settings.Settings, services []string) error {
	err := s.Validate(services...)
	if slices.Contains(services, identity.Admin) {
		err = errors.Join(err, adminwire.Check(s))
	}
	if slices.Contains(services, identity.Vault) {
		err = errors.Join(err, vaultwire.Check(s))
	}
	if slices.Contains(services, identity.Worker) {
		err = errors.Join(err, workerwire.Check(s))
	}
	return err
}
