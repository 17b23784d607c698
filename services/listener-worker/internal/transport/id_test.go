// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"testing"

	"mailpush.internal/services/listener-worker/internal/transport"
)

func TestIDsAreStableAndUnambiguous(t *testing.T) {
	t.Parallel()
	// Receivers remember ids: they must not change from one version to the next.
	if got, want := transport.EventID("mailpush", "1", "249", "INBOX", 7, 11), "evt_d2zfrf7oxlegwozulia2ld4tao"; got != want {
		t.Errorf("EventID = %q, want %q", got, want)
	}
	ids := map[string]bool{}
	for _, c := range [][4]string{
		{"i", "1", "23", "INBOX"}, {"i", "12", "3", "INBOX"}, {"i1", "", "23", "INBOX"}, {"i", "1", "23I", "NBOX"},
		{"i", "a", "b@c", "INBOX"}, {"i", "a@b", "c", "INBOX"}, {"i", "b@c", "a", "INBOX"}, {"i", "c", "a@b", "INBOX"}, {"i", "c", "A@b", "INBOX"},
	} {
		ids[transport.EventID(c[0], c[1], c[2], c[3], 7, 11)] = true
	}
	if len(ids) != 9 {
		t.Errorf("different mails share an id: %v", ids)
	}
	a := transport.Batch{UIDValidity: 7, From: 11, Upto: 12}
	grown := transport.Batch{UIDValidity: 7, From: 11, Upto: 13}
	if a.ID("sub", "INBOX") == grown.ID("sub", "INBOX") {
		t.Error("a range that has grown keeps its id")
	}
	if (transport.Batch{Reset: true, UIDValidity: 7, Upto: 4}).ID("s", "f") != (transport.Batch{Reset: true, UIDValidity: 7, Upto: 5}).ID("s", "f") {
		t.Error("a reset changes its id with the end of the folder")
	}
	if (transport.Batch{Reset: true, UIDValidity: 7, Upto: 4}).ID("s", "f") == (transport.Batch{Reset: true, UIDValidity: 7, From: 9, Upto: 4}).ID("s", "f") {
		t.Error("a reset for an end that went back has the id of one for a UIDVALIDITY")
	}
}
