// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// What is not wanted is not asked for, however many mails there are and however far apart.
func TestOnlyWhatIsWantedIsAskedFor(t *testing.T) {
	t.Parallel()
	for level, detail := range details() {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{}, nil)
			k.server.Folder.Add(130)
			k.open()
			k.detail = detail
			var most []uint32
			for uid := range uint32(mailbox.MaxMails) {
				most = append(most, uid+1)
			}
			k.read(mailbox.Range{From: 1, Upto: 130}, mailbox.MaxMails, mailbox.NoGap, most...)
			got := k.read(mailbox.Range{From: 130, Upto: 130}, 130, mailbox.NoGap, 130)
			asked := k.said("UID FETCH")
			if len(asked) != 2 {
				t.Fatalf("asked %q", asked)
			}
			for _, command := range asked {
				_, items, _ := strings.Cut(command, " (")
				want := map[mailbox.Detail]string{
					mailbox.Envelopes: "UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)]<0.16384>)",
					mailbox.UIDs:      "UID)",
				}[detail]
				if items != want {
					t.Errorf("asked %q, want (%s", command, want)
				}
			}
			if said := got.Mails[0].Subject != ""; said != (detail == mailbox.Envelopes) {
				t.Errorf("read %+v", got.Mails[0])
			}
		})
	}
}

// Where only UIDs are asked for an answer without one looks like a change of flags. The
// mail is found all the same, and a change of flags is taken for no mail.
func TestAnswerWithoutItsUIDIsAskedForInOtherWays(t *testing.T) {
	t.Parallel()
	for name, mute := range map[string]string{"nothing": "()", "flags": "(FLAGS (\\Seen))"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := serve(t, imaptest.Script{On: map[string]func(p *imaptest.Peer, tag, args string){
				"UID": func(p *imaptest.Peer, tag, args string) {
					words := strings.Fields(args)
					if !strings.EqualFold(words[0], "FETCH") {
						p.Answer(tag, "UID", args)
						return
					}
					for uid := range uint32(4) {
						switch {
						case uid == 0 || !inSet(words[1], uid):
						case uid != 2:
							p.Send(fetchUID(uid))
						case strings.Contains(args, "RFC822.SIZE"):
							p.Send("* 1 FETCH (FLAGS ())\r\n* 2 FETCH (RFC822.SIZE 100 INTERNALDATE NIL)\r\n")
						default:
							p.Send("* 2 FETCH " + mute + "\r\n")
						}
					}
					p.Send(tag + " OK done\r\n")
				},
			}}, nil)
			k.server.Folder.Add(3)
			k.open().detail = mailbox.UIDs
			k.read(mailbox.Range{From: 1, Upto: 3}, 3, mailbox.NoGap, 1, 2, 3)
		})
	}
}

func fetchUID(uid uint32) string { return fmt.Sprintf("* %d FETCH (UID %d)\r\n", uid, uid) }

func TestChangedFlagsAreNoMail(t *testing.T) {
	t.Parallel()
	flags := "* 1 FETCH (FLAGS (\\Seen))\r\n"
	l := &lagging{}
	k := l.serve(t)
	k.detail = mailbox.UIDs
	l.comes(7, []uint32{4, 6}, nil)
	k.check(mailbox.Sync, 7)
	l.mu.Lock()
	l.beside = flags
	l.mu.Unlock()
	k.read(mailbox.Range{From: 4, Upto: 6}, 6, mailbox.NoGap, 4, 6)
	l.comes(9, []uint32{7}, nil)
	k.check(mailbox.Sync, 9)
	k.read(mailbox.Range{From: 7, Upto: 8}, 7, mailbox.Absent, 7)
	k.read(mailbox.Range{From: 8, Upto: 8, Gone: 8}, 8, mailbox.NoGap)
}

// A mail shows itself to who counts it, whatever is wrong with its header, and costs no
// more than one question.
func TestDamageOfAHeaderIsNoneOfTheUIDs(t *testing.T) {
	t.Parallel()
	k := three(t, fetchUID(1)+"* 2 FETCH (UID 2 BODY[HEADER]<0> \"a\"b\" RFC822.SIZE -1)\r\n"+fetchUID(3)+ok)
	k.detail = mailbox.UIDs
	k.read(mailbox.Range{From: 1, Upto: 3}, 3, mailbox.NoGap, 1, 2, 3)
	if asked := slices.Concat(k.said("UID FETCH"), k.said("UID SEARCH")); len(asked) != 1 {
		t.Errorf("asked %q", asked)
	}
}
