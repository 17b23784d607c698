// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"fmt"
	"maps"
)

// Command is something to ask about a user's INBOX.
type Command struct {
	name   string
	given  map[string]any
	weight int
}

// parameters are the command's, for a user.
func (c Command) parameters(user string) map[string]any {
	out := make(map[string]any, len(c.given)+1)
	maps.Copy(out, c.given)
	out["user"] = user
	return out
}

const inbox = "INBOX"

// Status asks for uidnext, uidvalidity, unseen and guid. It makes an INBOX where there is
// none.
func Status() Command {
	return Command{"mailboxStatus", map[string]any{
		"mailboxMask": []string{inbox}, "field": []string{"uidnext", "uidvalidity", "unseen", "guid"},
	}, lightWeight}
}

// Fetch asks for the given fields of the mails of a range of UIDs, by ascending UID. UID 0
// ends Dovecot's process, and is never asked for. Never ask for text.utf8 or
// imap.envelope: one ends the process as well, the other has no bound.
func Fetch(from, upto uint32, fields ...string) Command {
	return Command{"fetch", map[string]any{
		"field": fields, "query": []string{"mailbox", inbox, "uid", fmt.Sprintf("%d:%d", max(from, 1), max(upto, 1))},
	}, readWeight}
}

// Metadata asks for an annotation (RFC 5464) of the server's, as Dovecot keeps it with a
// user's INBOX. One that is not set is empty.
func Metadata(key string) Command { return metadata("mailboxMetadataGet", key, nil) }

// SetMetadata sets one, whatever was there.
func SetMetadata(key, value string) Command { return metadata("mailboxMetadataSet", key, &value) }

// UnsetMetadata takes one away.
func UnsetMetadata(key string) Command { return metadata("mailboxMetadataUnset", key, nil) }

func metadata(name, key string, value *string) Command {
	given := map[string]any{"mailbox": "", "allowEmptyMailboxName": true, "key": key}
	if value != nil {
		given["value"] = *value
	}
	return Command{name, given, lightWeight}
}
