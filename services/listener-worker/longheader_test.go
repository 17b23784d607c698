// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A few mails with long address lists used to stop a mailbox for as long as they lay
// there, and any sender could send them.
func TestLongAddressListsStopNobody(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	if d == nil {
		return
	}
	d.listens(d.user)
	d.hook.busyFor(everything) // all of them are read at once
	d.deliver("first")
	receive(t, "first try", d.hook.got)
	list := strings.Repeat(strings.Repeat("x", 30)+"@example.org,\r\n ", 100<<10/46)
	for i := range 3 {
		text := fmt.Sprintf("From: Anna <anna@example.org>\r\nTo: %slast@example.org\r\nSubject: long %d\r\n\r\n%s",
			list, i, strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\r\n", 305<<10/62))
		if err := d.server.Deliver(d.user.GetUserId(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	d.deliver("behind")
	d.hook.busyFor(nil)
	var subjects []string
	for len(subjects) < 5 {
		subjects = append(subjects, d.told().Subjects...)
	}
	if got := strings.Join(subjects, ", "); got != "first, long 0, long 1, long 2, behind" {
		t.Errorf("told %s", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
