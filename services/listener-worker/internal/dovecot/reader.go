// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"mailpush.internal/services/listener-worker/internal/dovecot/internal/doveadm"
	"mailpush.internal/services/listener-worker/internal/header"
	"mailpush.internal/services/listener-worker/internal/listen"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// reader reads a mailbox by doveadm. It holds nothing open.
type reader struct {
	source *Source
	client *doveadm.Client
	of     mailbox.Listening
	name   string
	ctx    context.Context //nolint:containedctx // the life of the reader, for its questions
	end    context.CancelFunc
	folder seen
}

var _ listen.Reader = (*reader)(nil)

func newReader(s *Source, client *doveadm.Client, of mailbox.Listening, name string) *reader {
	ctx, end := context.WithCancel(s.life)
	return &reader{source: s, client: client, of: of, name: name, ctx: ctx, end: end}
}

// Close implements [listen.Reader].
func (r *reader) Close() { r.end() }

// Check implements [listen.Reader]. However it is asked for, doveadm looks at the mailbox.
func (r *reader) Check(mailbox.Look) (mailbox.Checkup, error) {
	now, failure := r.look()
	if failure != nil {
		return mailbox.Checkup{}, failure
	}
	return mailbox.Checkup{End: now.end}, nil
}

// Fetch implements [listen.Reader]. There are no gaps: what doveadm does not show is gone.
func (r *reader) Fetch(want mailbox.Range) (mailbox.Reading, error) {
	if want.Skip != 0 {
		return r.fetchUpto(want)
	}
	most := min(mailbox.MaxMails, cmp.Or(want.Most, mailbox.MaxMails))
	upto, failure := r.reach(want.From, want.Upto, most)
	if failure != nil {
		return mailbox.Reading{}, failure
	}
	mails, upto, failure := r.read(want.From, upto, want.Detail)
	if failure != nil {
		return mailbox.Reading{}, failure
	}
	return mailbox.Reading{Mails: mails, Upto: upto}, nil
}

// fetchUpto reads the mails before one that is not asked for.
func (r *reader) fetchUpto(want mailbox.Range) (mailbox.Reading, error) {
	var mails []mailbox.Mail
	if want.From < want.Skip {
		before := want
		before.Upto, before.Skip = want.Skip-1, 0
		got, err := r.Fetch(before)
		if err != nil || got.Upto < before.Upto {
			return got, err
		}
		mails = got.Mails
	}
	r.source.metrics.unreadable.Inc()
	return mailbox.Reading{Mails: append(mails, mailbox.Mail{UID: want.Skip}), Upto: want.Skip}, nil
}

const (
	// firstWindow is how many UIDs are looked through for mails at once; a window without
	// any makes the next one larger, so that what is asked depends on the mails there are.
	firstWindow = 1000
	growWindow  = 64
)

// reach is how far to read for so many mails. What lies between a range's UIDs costs
// doveadm nothing.
func (r *reader) reach(from, upto uint32, most int) (uint32, *mailbox.Failure) {
	if uint64(upto)-uint64(from) < uint64(most) {
		return upto, nil
	}
	for first, window := uint64(from), uint64(firstWindow); ; {
		last := min(first+window-1, uint64(upto))
		rows, err := r.rows(uint32(first), uint32(last), "uid")
		if doveadm.IsKind(err, doveadm.TooLarge) && window > uint64(most) {
			window /= 2
			continue
		}
		if err != nil {
			return 0, classifyRead(err, uint32(first), uint32(last))
		}
		found, failure := uidsOf(rows, uint32(first), uint32(last))
		switch {
		case failure != nil:
			return 0, failure
		case len(found) >= most:
			return found[most-1], nil
		case len(found) > 0 || last == uint64(upto):
			return uint32(last), nil
		}
		first, window = last+1, window*growWindow
	}
}

// bareMail are the fields of a mail whose header cannot be shown.
func bareMail() []string {
	return []string{"uid", "date.received.unixtime", "size.physical", "mailbox-guid"}
}

// fieldsOf are the fields of a mail that is read in some detail.
func fieldsOf(detail mailbox.Detail) []string {
	if detail == mailbox.UIDs {
		return []string{"uid", "mailbox-guid"}
	}
	return append(bareMail(), "hdr.from", "hdr.subject")
}

// read reads a range with few mails in it, or the first of them.
func (r *reader) read(from, upto uint32, detail mailbox.Detail) ([]mailbox.Mail, uint32, *mailbox.Failure) {
	for {
		rows, err := r.rows(from, upto, fieldsOf(detail)...)
		switch {
		case doveadm.IsKind(err, doveadm.TooLarge) && upto > from:
			upto = from + (upto-from)/2
			continue
		case doveadm.IsKind(err, doveadm.TooLarge):
			r.source.metrics.unreadable.Inc()
			rows, err = r.rows(from, upto, bareMail()...)
		}
		if err != nil {
			return nil, 0, classifyRead(err, from, upto)
		}
		if len(rows) == 0 {
			if failure := r.confirm(); failure != nil {
				return nil, 0, failure
			}
		}
		mails, failure := r.mails(rows, from, upto)
		return mails, upto, failure
	}
}

// rows asks for the mails of a range.
func (r *reader) rows(from, upto uint32, fields ...string) ([]doveadm.Row, error) {
	answers, err := r.client.Ask(r.ctx, r.name, doveadm.Fetch(from, upto, fields...))
	if err != nil {
		return nil, err
	}
	if answers[0].Err != nil {
		return nil, answers[0].Err
	}
	return answers[0].Rows, nil
}

// confirm sees to it that a range without mails was one of the folder that was looked at:
// doveadm makes a folder that is missing, and shows nothing of it.
func (r *reader) confirm() *mailbox.Failure {
	_, now, failure := r.ask(doveadm.Status())
	if failure != nil {
		return failure
	}
	if now.end.UIDValidity != r.folder.end.UIDValidity || now.guid != r.folder.guid {
		return replaced()
	}
	return nil
}

func replaced() *mailbox.Failure {
	return &mailbox.Failure{Class: mailbox.ClassUnavailable, Reason: "another folder is in the place of the one that was looked at"}
}

// mails reads rows of the range.
func (r *reader) mails(rows []doveadm.Row, from, upto uint32) ([]mailbox.Mail, *mailbox.Failure) {
	mails := make([]mailbox.Mail, 0, len(rows))
	for _, row := range rows {
		if guid := row["mailbox-guid"]; guid != "" && r.folder.guid != "" && guid != r.folder.guid {
			return nil, replaced()
		}
		uid, failure := uidOf(row, from, upto)
		if failure != nil {
			return nil, failure
		}
		mails = append(mails, mailOf(row, uid))
	}
	slices.SortFunc(mails, func(a, b mailbox.Mail) int { return cmp.Compare(a.UID, b.UID) })
	return slices.CompactFunc(mails, func(a, b mailbox.Mail) bool { return a.UID == b.UID }), nil
}

func uidsOf(rows []doveadm.Row, from, upto uint32) ([]uint32, *mailbox.Failure) {
	uids := make([]uint32, 0, len(rows))
	for _, row := range rows {
		uid, failure := uidOf(row, from, upto)
		if failure != nil {
			return nil, failure
		}
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// uidOf reads the UID of a row, which must be one that was asked for: else the rows are of
// another question.
func uidOf(row doveadm.Row, from, upto uint32) (uint32, *mailbox.Failure) {
	uid, ok := number(row["uid"], math.MaxUint32)
	if !ok || uid < uint64(from) || uid > uint64(upto) {
		return 0, &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "doveadm shows mails that were not asked for"}
	}
	return uint32(uid), nil
}

// mailOf reads a mail. Header fields are raw, as they are over IMAP.
func mailOf(row doveadm.Row, uid uint32) mailbox.Mail {
	m := mailbox.Mail{
		UID:     uid,
		From:    header.Sender([]byte(firstField(row["hdr.from"])), header.MaxText),
		Subject: header.Text([]byte(firstField(row["hdr.subject"])), header.MaxText),
	}
	if size, ok := number(row["size.physical"], math.MaxInt64); ok {
		m.Size = int64(size)
	}
	if at, ok := number(row["date.received.unixtime"], lastTime); ok && at >= firstTime {
		m.ReceivedAt = time.Unix(int64(at), 0)
	}
	return m
}

// firstTime and lastTime bound the times that mail can have come at, in seconds since
// 1970: from 1971 to 9999.
const (
	firstTime = 31_536_000
	lastTime  = 253_402_300_799
)

// firstField is the first of the header fields of a name, which doveadm joins by line
// ends; folded lines begin with white space.
func firstField(joined string) string {
	for at := 0; ; {
		end := strings.IndexByte(joined[at:], '\n')
		if end < 0 {
			return joined
		}
		at += end + 1
		if at == len(joined) || joined[at] != ' ' && joined[at] != '\t' {
			return joined[:at-1]
		}
	}
}
