// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"sync"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func suspendedIn(slot uint32, version uint64) *registry.Credential {
	c := loginIn(slot, version)
	c.State, c.Reason = registry.CredentialSuspended, "refused"
	return c
}

// A user's first login was refused, and meanwhile another replica has stored a good one:
// the refused one is newer, and must not come into its place.
func TestARefusedLoginComesIntoNobodysPlace(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		refused := enrolment(t, s, subscription("sub_b", anna, "mobile", "d2"), "demo", suspendedIn(8, 9))
		subscribe(t, s, subscription("sub_a", anna, "mobile", "d1"), loginIn(7, 4))
		err := subscribeOne(ctx, s, refused)
		wantKind(t, fault.Unavailable, err)
		if !errors.Is(err, registry.ErrOvertaken) {
			t.Errorf("got %v", err)
		}
		same(t, "credential", *loginIn(7, 4), must(s.User(ctx, anna))(t).Credential)
		if subs := must(s.Subscriptions(ctx, anna))(t); len(subs) != 1 {
			t.Errorf("stored %+v", subs)
		}

		// Where there is none, it is stored.
		subscribe(t, s, subscription("sub_c", bob, "mobile", "d1"), suspendedIn(8, 9))
		same(t, "a first one", *suspendedIn(8, 9), must(s.User(ctx, bob))(t).Credential)
		// And an accepted one comes into its place, whatever was found when it began.
		accepted := enrolment(t, s, subscription("sub_d", bob, "mobile", "d2"), "demo", loginIn(9, 10))
		accepted.Before = registry.User{UserID: bob, Credential: registry.Credential{State: registry.CredentialNone}}
		if err := subscribeOne(ctx, s, accepted); err != nil {
			t.Fatal(err)
		}
		same(t, "an accepted one", *loginIn(9, 10), must(s.User(ctx, bob))(t).Credential)
	})
}

// Of logins that were accepted at the same time one is in force in the end, whole: the one
// of the last that did not have to begin anew.
func TestConcurrentLoginsLeaveOneInForce(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		const n = 6
		list := make([]registry.Enrolment, n)
		for i := range list {
			cred := loginIn(uint32(10+i), uint64(100+i))
			if i%2 == 1 {
				cred = suspendedIn(uint32(10+i), uint64(100+i))
			}
			list[i] = enrolment(t, s, subscription("sub_"+string(rune('a'+i)), anna, "mobile", string(rune('a'+i))), "demo", cred)
		}
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range list {
			wg.Go(func() { errs[i] = subscribeOne(t.Context(), s, list[i]) })
		}
		wg.Wait()
		newest, stored := registry.Credential{}, 0
		for i, err := range errs {
			if err != nil {
				wantKind(t, fault.Unavailable, err)
				continue
			}
			stored++
			if c := *list[i].Credential; c.State == registry.CredentialStored || newest.State == "" {
				if newest.State != registry.CredentialStored || c.Version > newest.Version {
					newest = c
				}
			}
		}
		same(t, "in force", newest, must(s.User(t.Context(), anna))(t).Credential)
		if subs := must(s.Subscriptions(t.Context(), anna))(t); len(subs) != stored || stored == 0 {
			t.Errorf("%d were stored, %d are there", stored, len(subs))
		}
	})
}
