// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestBoxesAreFoundByUser(t *testing.T) {
	t.Parallel()
	var all boxes
	for n := range 500 {
		all = append(all, box{mailbox.User{Context: fmt.Sprint(n % 7), ID: fmt.Sprint(n)}, uint64(n)})
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all.sort()
	for n := range 500 {
		if got, found := all.find(mailbox.User{Context: fmt.Sprint(n % 7), ID: fmt.Sprint(n)}); !found || got.print != uint64(n) {
			t.Fatalf("user %d: %+v, %v", n, got, found)
		}
		if got, found := all.find(mailbox.User{Context: fmt.Sprint(n%7 + 1), ID: fmt.Sprint(n)}); found {
			t.Fatalf("a user of another context is %+v", got)
		}
	}
}

// Whatever the registry says differently of a mailbox is seen, and what it says again is
// not taken for a change.
func TestFingerprintsTellWhatHasChanged(t *testing.T) {
	t.Parallel()
	p := newPrints()
	store := p.of(&mailv1.MailStore{Name: "main", Address: "a:993"}, 0)
	listed := func(change func(m *registryv1.Mailbox, s *registryv1.Subscription)) uint64 {
		s := &registryv1.Subscription{Id: "sub_1", Cursors: []*mailv1.Cursor{{Folder: "INBOX", UidValidity: 7, Uid: 10}}}
		m := &registryv1.Mailbox{
			User: &mailv1.User{ContextId: "1", UserId: "2"}, MailStore: "main", CredentialVersion: 1,
			Subscriptions: []*registryv1.Subscription{s},
		}
		change(m, s)
		return p.of(m, store)
	}
	same := func(*registryv1.Mailbox, *registryv1.Subscription) {}
	before := listed(same)
	if before == 0 || listed(same) != before {
		t.Error("the same mailbox has another fingerprint when it is listed again")
	}
	for name, change := range map[string]func(m *registryv1.Mailbox, s *registryv1.Subscription){
		"the credential":     func(m *registryv1.Mailbox, _ *registryv1.Subscription) { m.CredentialVersion = 2 },
		"permanent":          func(m *registryv1.Mailbox, _ *registryv1.Subscription) { m.Permanent = true },
		"no subscription":    func(m *registryv1.Mailbox, _ *registryv1.Subscription) { m.Subscriptions = nil },
		"a cursor":           func(_ *registryv1.Mailbox, s *registryv1.Subscription) { s.Cursors[0].Uid = 11 },
		"the target":         func(_ *registryv1.Mailbox, s *registryv1.Subscription) { s.Target = &mailv1.Target{} },
		"a slot that is set": func(_ *registryv1.Mailbox, s *registryv1.Subscription) { s.PreviousSecretSlot = proto.Uint32(0) },
		"failing":            func(_ *registryv1.Mailbox, s *registryv1.Subscription) { s.FailingSince = timestamppb.Now() },
	} {
		if listed(change) == before {
			t.Errorf("%s: the change is not seen", name)
		}
	}
	store = p.of(&mailv1.MailStore{Name: "main", Address: "b:993"}, 0)
	if listed(same) == before {
		t.Error("another mail store is not seen")
	}
}
