// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestAdministratorsChangeSubscriptions(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	ctx := t.Context()
	for _, err := range []error{w.Disable(ctx, a.ID, ""), w.Disable(ctx, a.ID, "noisy"), w.Enable(ctx, a.ID)} {
		if err != nil {
			t.Error(err)
		}
	}
	cursor, err := w.Replay(ctx, a.ID, "", 7)
	if err != nil || cursor != (registry.Cursor{Folder: "INBOX", UID: 6}) {
		t.Errorf("replayed from %+v, %v", cursor, err)
	}
	if _, err := w.Replay(ctx, a.ID, "Sent", 7); err != nil {
		t.Error(err)
	}
	want := []string{"disable : disabled by an administrator", "disable : noisy", "enable ", "replay : INBOX from 7", "replay : Sent from 7"}
	for i, line := range want {
		verb, rest, _ := strings.Cut(line, " ")
		want[i] = verb + " " + a.ID + rest
	}
	if !slices.Equal(w.store.changes, want) || len(w.cluster.touched) != len(want) {
		t.Errorf("changes %q, touched %v", w.store.changes, w.cluster.touched)
	}
	if list, at, err := w.DeadLetters(ctx, a.ID, registry.Place{}, 1); err != nil || len(list) != 1 || at.At != 1 {
		t.Errorf("dead letters %v, %v, %v", list, at, err)
	}
	_, err1 := w.Replay(ctx, "sub_x", "", 1)
	_, _, err2 := w.DeadLetters(ctx, "sub_x", registry.Place{}, 1)
	_, err3 := w.Test(ctx, "sub_x")
	for _, err := range []error{w.Enable(ctx, "sub_x"), w.Disable(ctx, "sub_x", ""), err1, err2, err3} {
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("unknown: %v", err)
		}
	}
}

func TestTestAsksAnyWorker(t *testing.T) {
	t.Parallel()
	w, a := subscribed(t, nil)
	w.workers.tests = map[string]TestResult{a.ID: {Accepted: true, Result: "ok", Detail: "204"}}
	w.workers.asked = nil
	w.workers.silent["a1"] = errors.Join(ErrNoAnswer, fault.New(fault.Unavailable, "down"))
	for range 20 { // whichever is asked first
		if got, err := w.Test(t.Context(), a.ID); err != nil || !got.Accepted || got.Detail != "204" {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	w.workers.silent["a2"] = fault.New(fault.NotFound, "the vault has no secret")
	w.scheduler.members.Workers = w.scheduler.members.Workers[:2]
	if _, err := w.Test(t.Context(), a.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a worker's own answer: %v", err)
	}
	for _, nobody := range [][]Worker{nil, {{ID: "w3", Unread: true}}} {
		w.scheduler.members.Workers = nobody
		if _, err := w.Test(t.Context(), a.ID); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no live worker") {
			t.Errorf("without workers that can be reached: %v", err)
		}
	}
}
