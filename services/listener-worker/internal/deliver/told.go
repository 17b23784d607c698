// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

import (
	"time"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/internal/fifo"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// maxTold bounds the mails of all mailboxes that are kept because they were told. They
// spare a read, and are read where they are not kept: an endpoint that fails for long
// costs no memory.
const maxTold = 2048

// told are the mails at the end of one folder, as they were told by who noticed them.
type told struct {
	end   mailbox.End    // of the folder
	mails []mailbox.Mail // neighbours by UID; the last one is the last of the folder
	place *fifo.Element[*box]
}

// allTold are the boxes with mails that were told, the longest untouched first.
type allTold struct {
	boxes fifo.List[*box]
	mails int
}

// Told takes in that a user's folder has grown by one mail, which need not be read; see
// listen.Sink.
func (l *Loop) Told(user mailbox.User, end mailbox.End, mail mailbox.Mail, noticed time.Time) {
	l.loop.Post(func() {
		if b := l.boxes[user]; b != nil {
			l.tell(b, end, mail)
			l.head(b, end.Folder, headOf(end, noticed))
		}
	})
}

// tell keeps a mail that ends its folder.
func (l *Loop) tell(b *box, end mailbox.End, mail mailbox.Mail) {
	kept := b.told
	if kept == nil || len(kept.mails) >= mailbox.MaxMails || !kept.precedes(end, mail) {
		l.forgetTold(b)
		kept = &told{}
	} else {
		l.told.boxes.Remove(kept.place)
	}
	kept.end, kept.mails = end, append(kept.mails, mail)
	kept.place = l.told.boxes.Push(b)
	b.told = kept
	for l.told.mails++; l.told.mails > maxTold; {
		l.forgetTold(l.told.boxes.First().Value)
	}
}

// forgetTold lets go of what was told of a mailbox.
func (l *Loop) forgetTold(b *box) {
	if b.told != nil {
		l.told.mails -= len(b.told.mails)
		l.told.boxes.Remove(b.told.place)
		b.told = nil
	}
}

// precedes tells whether a mail at the end of a folder comes next.
func (t *told) precedes(end mailbox.End, mail mailbox.Mail) bool {
	return t.end.Folder == end.Folder && t.end.UIDValidity == end.UIDValidity && t.last()+1 == mail.UID
}

// ends tells whether the mails are still the last of their folder.
func (t *told) ends(folder string, head pump.Head) bool {
	return t.end.Folder != folder || t.end.UIDValidity == head.UIDValidity && t.last()+1 == head.UIDNext
}

func (t *told) last() uint32 { return t.mails[len(t.mails)-1].UID }

// told is what a lane need not read from a UID on: all mails there are, or nil.
func (lane *lane) told(from uint32) []mailbox.Mail {
	t := lane.box.told
	if t == nil || t.end.Folder != lane.folder || lane.content == mailv1.Content_CONTENT_READ ||
		from < t.mails[0].UID || from > t.last() {
		return nil
	}
	return t.mails[from-t.mails[0].UID:]
}

// answerTold answers a lane that asked for mails that were told. They may have been
// forgotten since, or more may have come.
func (l *Loop) answerTold(lane *lane, from uint32) {
	if lane.gone {
		return
	}
	mails := lane.told(from)
	if mails == nil {
		l.fetch(lane.box, from)
		return
	}
	l.metrics.spared.Inc()
	t := lane.box.told
	l.step(lane, lane.fetched(mailbox.Read{End: t.end, From: from, Upto: t.last(), Detail: mailbox.Envelopes, Mails: mails}))
}

// served lets go of what was told once all lanes have come that far.
func (l *Loop) served(b *box) {
	if b.told == nil {
		return
	}
	now := time.Now()
	for _, lane := range b.lanes {
		if cursor := lane.pump.Status(now).Cursor; lane.folder == b.told.end.Folder && cursor.UID < b.told.last() {
			return
		}
	}
	l.forgetTold(b)
}
