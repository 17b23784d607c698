// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// owner is who Dovecot's processes run as, and who owns the mailboxes.
type owner struct {
	Internal, Login, Group string // Dovecot's names for them

	uid, gid int // of the first mailbox
	step     int // to those of the next
}

// rootOwner is Debian's users, and mailbox users that need no name.
func rootOwner() owner {
	const first = 20000
	return owner{Internal: "dovecot", Login: "dovenull", Group: "dovecot", uid: first, gid: first, step: 1}
}

// currentOwner is the current user for everything, unless that is root.
func currentOwner() (owner, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		return rootOwner(), nil
	}
	self, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return owner{}, fmt.Errorf("finding the name of the current user: %w", err)
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return owner{}, fmt.Errorf("finding the name of the current group: %w", err)
	}
	return owner{Internal: self.Username, Login: self.Username, Group: group.Name, uid: uid, gid: gid}, nil
}

// mailbox returns the ids that own the nth mailbox.
func (o owner) mailbox(n int) (uid, gid int) { return o.uid + n*o.step, o.gid + n*o.step }
