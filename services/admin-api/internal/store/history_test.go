// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"mailpush.internal/services/admin-api/internal/registry"
)

// told is the user's history, the oldest first and without what differs from run to run.
func told(t *testing.T, s *Store, user registry.UserID) (out []string) {
	t.Helper()
	for _, e := range history(t, s, user) {
		line := fmt.Sprintf("%s by %s: %s", e.Kind, e.Actor, e.Reason)
		if e.Subscription != "" {
			line = e.Subscription + " " + line
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	return out
}

func history(t *testing.T, s *Store, user registry.UserID) []registry.HistoryEntry {
	t.Helper()
	list, last, err := s.ListHistory(t.Context(), user, time.Time{}, registry.Place{}, 1000)
	if err != nil || last != (registry.Place{}) {
		t.Fatalf("last %v, error %v", last, err)
	}
	return list
}

// as has what follows done by somebody.
func as(t *testing.T, kind registry.ActorKind, name string) context.Context {
	t.Helper()
	return registry.Acting(t.Context(), registry.Actor{Kind: kind, Name: name})
}

// check has a step succeed.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// One life of a user, from the first subscription to after the last.
func TestHistoryTellsWhatHasHappened(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, alice, portal := t.Context(), as(t, registry.Administrator, "alice b"), as(t, registry.Application, "portal")
		sub := subscription("sub_a", anna, "mobile", "")
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "demo", loginIn(3, 1))))
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "demo", nil))) // as each start of an application: nothing of note
		must(s.Report(ctx, shards, []registry.Report{{Claim: claimOf(anna, 5), Subscription: "sub_a", Revision: 1, Outcome: registry.OutcomeConfirmed}}, noon()))(t)
		must(s.SuspendCredential(ctx, anna, 1, "refused"))(t)
		must(s.SuspendCredential(ctx, anna, 1, "refused"))(t) // told again
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "other", loginIn(4, 2))))
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "other", loginIn(5, 3))))
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "other", loginIn(6, 4)))) // the last of the day is kept
		must(s.Replay(alice, "sub_a", "INBOX", 7))(t)
		for range 2 { // the second time nothing changes
			check(t, s.Disable(alice, "sub_a", "noisy", noon()))
		}
		check(t, s.Disable(alice, "sub_a", "noisy still", noon()))
		for range 2 {
			check(t, s.Enable(alice, "sub_a"))
		}
		leave(t, s, "sub_a", anna)
		check(t, s.Restore(alice, "sub_a"))
		check(t, s.Disable(alice, "sub_a", "for good", noon()))
		sub.Target.Address, sub.Endpoint.Origin = "https://new.example/?token=t", "https://new.example:443"
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "other", nil)))
		sub.Target.Address = "https://new.example/?token=u"
		check(t, subscribeOne(portal, s, enrolment(t, s, sub, "other", nil)))
		must(s.Unregister(alice, anna, "mobile"))(t)

		same(t, "history", []string{
			"sub_a subscribed by application portal: pushes go to https://hook.example:443",
			"sub_a endpoint_confirmed by system: https://hook.example:443",
			"login_suspended by system: refused",
			"store_changed by application portal: from demo to other",
			"login_changed by application portal: was suspended: refused",
			"login_changed by application portal: ",
			"sub_a replayed by administrator alice b: INBOX from UID 7 on",
			"sub_a subscription_disabled by administrator alice b: noisy",
			"sub_a subscription_disabled by administrator alice b: noisy still",
			"sub_a subscription_enabled by administrator alice b: was disabled: noisy still",
			"sub_a subscription_disabled by system: gone, kept until 2027-01-22T08:00:00Z: 503 Service Unavailable",
			"sub_a subscription_restored by administrator alice b: was disabled: gone: 503 Service Unavailable",
			"sub_a subscription_disabled by administrator alice b: for good",
			"sub_a subscription_enabled by application portal: was disabled: for good",
			"sub_a target_changed by application portal: from https://hook.example:443 to https://new.example:443",
			"sub_a target_changed by application portal: another path at https://new.example:443",
			"sub_a subscription_ended by administrator alice b: the client was unregistered",
			"user_removed by administrator alice b: nothing is registered any more",
		}, told(t, s, anna))
		same(t, "of another", []string(nil), told(t, s, bob))
	})
}

// Many subscriptions of one client are one entry, and of a login that is refused from the
// beginning the reason is told.
func TestHistoryOfAClientThatIsUnregistered(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		refused := &registry.Credential{State: registry.CredentialSuspended, Reason: "no such user", Version: 1}
		subscribe(t, s, subscription("sub_a", anna, "mobile", "a"), refused)
		subscribe(t, s, subscription("sub_b", anna, "mobile", "b"), nil)
		subscribe(t, s, subscription("sub_c", anna, "web", ""), nil)
		must(s.Unregister(t.Context(), anna, "mobile"))(t)
		must(s.Unsubscribe(t.Context(), "sub_c"))(t)
		got := told(t, s, anna)
		same(t, "history", []string{
			"login_suspended by system: no such user",
			"subscription_ended by system: the client was unregistered, with 2 subscriptions",
			"sub_c subscription_ended by system: unsubscribed",
			"user_removed by system: nothing is registered any more",
		}, slices.DeleteFunc(got, func(line string) bool { return strings.Contains(line, " subscribed by ") }))
	})
}

// What workers commit tells of resets and of dead letters, under the conditions under which
// the cursors are stored, and once however often a commit comes.
func TestHistoryOfCommits(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for _, device := range []string{"a", "b"} {
			subscribe(t, s, subscription("sub_"+device, anna, "mobile", device), login(1))
		}
		before := told(t, s, anna)
		must(s.OpenEpochs(t.Context(), []registry.Claim{claimOf(anna, 5)}))(t)
		from := registry.Cursor{Folder: "INBOX", UIDValidity: 7, UID: 100}
		cursor := func(id string, validity, uid uint32, from registry.Cursor) registry.SubscriptionCursor {
			return registry.SubscriptionCursor{
				Subscription: id, Cursor: registry.Cursor{Folder: "INBOX", UIDValidity: validity, UID: uid}, ResetFrom: from,
			}
		}
		none := registry.Cursor{}
		commit := func(epoch uint64, letters []registry.DeadLetter, cursors ...registry.SubscriptionCursor) {
			t.Helper()
			batch := registry.ShardCursors{Claim: claimOf(anna, epoch), Cursors: cursors, DeadLetters: letters}
			must(s.CommitCursors(t.Context(), shards, []registry.ShardCursors{batch}))(t)
		}
		commit(5, nil, cursor("sub_a", 7, 101, none))
		commit(4, []registry.DeadLetter{deadLetter("sub_a", 9)}, cursor("sub_a", 9, 30, from)) // fenced
		replayed := cursor("sub_a", 9, 30, from)
		replayed.Replay = 1 // a replay that there was not
		commit(5, nil, replayed, cursor("sub_unknown", 9, 30, from))
		same(t, "after what tells of nothing", before, told(t, s, anna))

		for range 2 {
			commit(5, []registry.DeadLetter{deadLetter("sub_a", 1), deadLetter("sub_a", 3)}, cursor("sub_a", 9, 30, from))
		}
		commit(5, nil, cursor("sub_b", 9, 31, from)) // the same reset, of another subscription
		back := cursor("sub_a", 9, 12, registry.Cursor{Folder: "INBOX", UIDValidity: 9, UID: 30})
		back.Rewind = true
		commit(5, nil, back)
		got := told(t, s, anna)[len(before):]
		slices.Sort(got)
		same(t, "history", []string{
			"mailbox_reset by system: INBOX: UIDVALIDITY 7 became 9, pushes go on after UID 31",
			"mailbox_reset by system: INBOX: UIDVALIDITY is 9 still, pushes go on after UID 12 in place of 30",
			"sub_a dead_letters by system: 2 ranges of mails, the last UIDs 3 to 4 of INBOX: 413 Content Too Large",
		}, got)
	})
}

// A history is bounded in length and in time, also of a user that is gone, and goes page by
// page.
func TestHistoryIsBounded(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		now := time.Now()
		put := func(user registry.UserID, from, n int, at time.Time) {
			t.Helper()
			var entries []registry.HistoryEntry
			for i := range n {
				entries = append(entries, registry.HistoryEntry{
					UserID: user, Kind: registry.Replayed, Reason: fmt.Sprint(from + i), At: at.Add(time.Duration(from+i) * time.Millisecond),
				})
			}
			check(t, s.record(t.Context(), func(*gorm.DB) ([]registry.HistoryEntry, error) { return entries, nil }))
		}
		put(bob, 0, 3, now.Add(-registry.HistoryKept-time.Minute)) // too old to be shown, and not forgotten yet
		put(bob, 3, 2, now.Add(-time.Hour))
		put(anna, 0, registry.HistoryLength+5, now.Add(-time.Hour))
		put(anna, registry.HistoryLength+5, 1, now.Add(-time.Hour))
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		same(t, "with a new subscription", registry.HistoryLength+1, len(history(t, s, anna)))
		must(s.Unsubscribe(t.Context(), "sub_a"))(t)
		same(t, "of another", 2, len(history(t, s, bob)))
		same(t, "of one", registry.HistoryLength, len(history(t, s, anna)))
		same(t, "rows", int64(registry.HistoryLength+5), rowsOf(t, s))

		check(t, s.ForgetHistory(t.Context(), now, 2))
		same(t, "rows after a batch", int64(registry.HistoryLength+3), rowsOf(t, s))
		check(t, s.ForgetHistory(t.Context(), now, 2))
		check(t, s.ForgetHistory(t.Context(), now, 2))
		same(t, "rows after all batches", int64(registry.HistoryLength+2), rowsOf(t, s))

		var reasons []string
		pages, at := 0, registry.Place{}
		for {
			page, last, err := s.ListHistory(t.Context(), anna, time.Time{}, at, 70)
			check(t, err)
			for _, e := range page {
				reasons = append(reasons, e.Reason)
			}
			if pages++; last == (registry.Place{}) {
				break
			}
			at = last
		}
		if pages != 3 || len(reasons) != registry.HistoryLength || reasons[3] != fmt.Sprint(registry.HistoryLength+5) || reasons[len(reasons)-1] != "9" {
			t.Errorf("%d pages, %d entries from %s to %s", pages, len(reasons), reasons[0], reasons[len(reasons)-1])
		}
		since := now.Add(-time.Hour).Add(time.Duration(registry.HistoryLength) * time.Millisecond)
		late, _, err := s.ListHistory(t.Context(), anna, since, registry.Place{}, 1000)
		if err != nil || len(late) != 9 {
			t.Errorf("since a time: %d entries, error %v", len(late), err)
		}
	})
}

func rowsOf(t *testing.T, s *Store) (n int64) {
	t.Helper()
	check(t, s.db.Model(&historyRow{}).Count(&n).Error)
	return n
}

// What does not come about is not told, and what does is logged once.
func TestHistoryDoesNotLie(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var log bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		subscribe(t, s, subscription("sub_a", anna, "mobile", ""), login(1))
		before := told(t, s, anna)
		ctx := as(t, registry.Administrator, "alice")
		if _, err := s.Replay(ctx, "sub_a", "INBOX", 1000); err == nil {
			t.Error("a replay beyond the cursor succeeds")
		}
		if err := s.Restore(ctx, "sub_a"); err == nil {
			t.Error("a subscription that is not disabled is restored")
		}
		failed := s.record(ctx, func(tx *gorm.DB) ([]registry.HistoryEntry, error) {
			return []registry.HistoryEntry{{UserID: anna, Kind: registry.UserDisabled}}, tx.Exec("NOT SQL").Error
		})
		if failed == nil {
			t.Error("what is not SQL is executed")
		}
		same(t, "history", before, told(t, s, anna))
		same(t, "log", "", log.String())

		check(t, s.Disable(ctx, "sub_a", "noisy", noon()))
		const want = `level=WARN msg="happened to a user" what=subscription_disabled user=249@1 subscription=sub_a client=mobile by="administrator alice" reason=noisy`
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%d lines of log: %s", lines, log.String())
		}
	})
}
