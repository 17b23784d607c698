// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package causes

import (
	"context"
	"fmt"
	"strings"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/trials/internal/rig"
)

// policies has the operator change the settings, and disable a user.
func (w *world) policies(ctx context.Context) error {
	for _, s := range []subscription{
		{user: "stranger", client: "other"}, {user: "disabled"}, {user: "lost-store", store: storeUnknown}, {user: "permanent"},
	} {
		s.url = w.receiver.URL()
		if s.store == "" {
			s.store = rig.StoreName
		}
		if _, err := w.subscribe(ctx, s); err != nil {
			return err
		}
	}
	if err := w.well(ctx, "stranger", "disabled", "lost-store", "permanent"); err != nil {
		return err
	}
	if err := w.disable(ctx, "disabled"); err != nil {
		return err
	}
	if err := w.expect(ctx, "user disabled", "disabled", "user-disabled", "the user is disabled"); err != nil {
		return err
	}
	// One restart for three: the first no is another one for each.
	if err := w.mailpush.Configure(without(storeUnknown)); err != nil {
		return err
	}
	if err := w.mailpush.Restart(ctx, identity.Admin, "push.allowedClients=["+client+"]", "push.allowPermanentPush=false"); err != nil {
		return err
	}
	if err := w.expect(ctx, "client not allowed", "stranger", "client-not-allowed", "push.allowedClients names none of: other"); err != nil {
		return err
	}
	if err := w.expect(ctx, "unknown store", "lost-store", "unknown-mail-store", `no such mail store "unknown"`); err != nil {
		return err
	}
	if err := w.expect(ctx, "permanent push off", "permanent", "permanent-push-off", "push.allowPermanentPush is off"); err != nil {
		return err
	}
	if err := w.mailpush.Restart(ctx, identity.Admin, "imapidle.supportsPermanentListeners=false"); err != nil {
		return err
	}
	if err := w.expect(ctx, "backend not permanent", "permanent", "backend-not-permanent", "imapidle.supportsPermanentListeners is off"); err != nil {
		return err
	}
	return w.mailpush.Restart(ctx, identity.Admin)
}

// disable disables a user, as whoever has the registry can.
func (w *world) disable(ctx context.Context, user string) error {
	rows, err := w.postgres.Exec(ctx, w.registry, "UPDATE users SET enabled = false WHERE user_id = '"+user+"'")
	if err == nil && rows != 1 {
		err = fmt.Errorf("disabling %s: %d users are", user, rows)
	}
	return err
}

// without takes a mail store out of a configuration.
func without(store string) func(text string) string {
	return func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(strings.TrimSpace(line), store+": {") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
}
