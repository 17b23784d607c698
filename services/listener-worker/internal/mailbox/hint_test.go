// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package mailbox_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

func TestHintsBecomeOneThatLosesNoMail(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	hint := func(validity, uid uint32) mailbox.Hint {
		return mailbox.Hint{Folder: mailbox.Inbox, UIDValidity: validity, UID: uid, At: at}
	}
	tells := hint(7, 11)
	tells.Mail, tells.Unseen = &mailbox.Mail{UID: 11}, 2
	later := hint(7, 12)
	later.Mail, later.At = &mailbox.Mail{UID: 12}, at.Add(time.Second)
	for name, c := range map[string]struct{ first, second, want mailbox.Hint }{
		"the same mail twice":              {tells, tells, tells},
		"the same mail, told once":         {hint(7, 11), tells, tells},
		"two mails tell none":              {tells, later, hint(7, 12)},
		"the other way round":              {hint(7, 12), tells, hint(7, 12)},
		"a look stays one":                 {hint(0, 0), later, hint(0, 0)},
		"a look that follows is one, too":  {tells, hint(7, 0), hint(0, 0)},
		"another UIDVALIDITY needs a look": {tells, hint(8, 1), hint(0, 0)},
	} {
		if diff := cmp.Diff(c.want, c.first.Merge(c.second)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
