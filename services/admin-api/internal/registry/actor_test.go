// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"testing"
)

func TestActorsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Actor{
		"system":              {},
		"administrator alice": {Administrator, "alice"},
		"application a b":     {Application, "a b"},
	} {
		if got := ParseActor(text); got != want || got.String() != text {
			t.Errorf("%q is read as %+v and written as %q", text, got, got)
		}
	}
	for _, text := range []string{"", "robot r2", "administrators alice", " alice"} {
		if got := ParseActor(text); got != (Actor{}) {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	ctx := t.Context()
	if got := ActorOf(Acting(ctx, Actor{Application, "portal"})); got != (Actor{Application, "portal"}) || ActorOf(ctx) != (Actor{}) {
		t.Errorf("within the context acts %+v", got)
	}
}
