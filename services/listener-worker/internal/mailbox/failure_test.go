// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox_test

import (
	"testing"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// A credential's fault is its owner's, whatever was seen before; of anything else it counts
// when it was seen.
func TestWhoseFaultAFailureIs(t *testing.T) {
	t.Parallel()
	own := map[mailbox.Class]bool{
		mailbox.ClassRefused: true, mailbox.ClassUnexplained: true, mailbox.ClassNoCredential: true, mailbox.ClassCredentials: true,
	}
	for class := mailbox.ClassRefused; class <= mailbox.ClassCredentials; class++ {
		for _, blame := range []mailbox.Blame{mailbox.BlameEither, mailbox.BlameMailbox, mailbox.BlameStore} {
			want := blame
			if own[class] {
				want = mailbox.BlameMailbox
			}
			if got := (&mailbox.Failure{Class: class, Blame: blame}).Whose(); got != want {
				t.Errorf("%v seen as %d: %d, want %d", class, blame, got, want)
			}
		}
	}
	if f := (&mailbox.Failure{Class: mailbox.ClassTLS}).OfStore(); f.Whose() != mailbox.BlameStore {
		t.Errorf("of the mail store: %d", f.Whose())
	}
	if f := (&mailbox.Failure{Class: mailbox.ClassTLS}).OfMailbox(); f.Whose() != mailbox.BlameMailbox {
		t.Errorf("of the mailbox: %d", f.Whose())
	}
}
