// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imapidle

import (
	"cmp"
	"mime"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message/charset"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

const (
	maxMails = 100 // of one fetch
	// mailBytes is a generous envelope; a fetch may get so much for each of its mails.
	mailBytes = 64 << 10
	// searchWindow bounds how many UIDs one SEARCH answers for: 11 bytes each.
	searchWindow = 50_000
)

// Fetch implements [listen.Reader].
func (c *conn) Fetch(from, upto uint32) ([]mailbox.Mail, uint32, error) {
	c.wire.begin(stepFetch, c.timeout, smallAnswer)
	if err := c.endIdle()(); err != nil {
		return nil, 0, c.wire.classify(err)
	}
	mails, last, failure := c.read(from, upto)
	if next := beyond(mails, from); failure == nil && next <= last {
		var more []mailbox.Mail
		more, last, failure = c.readTail(next, last)
		mails = append(mails, more...)
	}
	if failure != nil {
		return nil, 0, failure
	}
	c.rest()
	return mails, last, nil
}

// beyond is the first UID from one on that is above all mails.
func beyond(mails []mailbox.Mail, from uint32) uint32 {
	if len(mails) == 0 {
		return from
	}
	return mails[len(mails)-1].UID + 1
}

// readTail reads the end of a range once more. STATUS may count mails that this session
// was not told of (RFC 9051 section 6.3.11), which some mail stores do not show it: NOOP
// has them announced. What is missing after that is no more.
func (c *conn) readTail(from, upto uint32) ([]mailbox.Mail, uint32, *mailbox.Failure) {
	if failure := c.noop(func() error { return nil }); failure != nil {
		return nil, 0, failure
	}
	return c.read(from, upto)
}

// read reads a range, or its first mails and how far they reach.
func (c *conn) read(from, upto uint32) ([]mailbox.Mail, uint32, *mailbox.Failure) {
	if upto-from >= maxMails {
		first, last, failure := c.firstOf(from, min(upto, from+searchWindow-1))
		if failure != nil || first == 0 { // a failure, or nothing but expunged mails
			return nil, last, failure
		}
		from, upto = first, last
	}
	mails, failure := c.envelopes(from, upto)
	return mails, upto, failure
}

// firstOf finds the first maxMails mails in a range wider than that: UIDs have
// gaps, and asking for the whole range could bring all of a large folder. first
// is 0 when there is none; last is how far the answer reaches.
func (c *conn) firstOf(from, upto uint32) (first, last uint32, failure *mailbox.Failure) {
	c.wire.begin(stepSearch, c.timeout, searchWindow*11+smallAnswer/4)
	data, err := c.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{uidRange(from, upto)}}, nil).Wait()
	if err != nil {
		return 0, 0, c.wire.classify(err)
	}
	all, _ := data.All.(imap.UIDSet)
	slices.SortFunc(all, func(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) })
	count := uint32(0)
	for _, r := range all {
		start, stop := max(uint32(r.Start), from), min(uint32(r.Stop), upto)
		if start > stop {
			continue
		}
		if first == 0 {
			first = start
		}
		if stop-start >= maxMails-count-1 {
			return first, start + (maxMails - count - 1), nil
		}
		count += stop - start + 1
	}
	return first, upto, nil
}

// envelopes reads what pushes may say. Neither ENVELOPE nor anything else here
// sets \Seen.
func (c *conn) envelopes(from, upto uint32) ([]mailbox.Mail, *mailbox.Failure) {
	c.wire.begin(stepFetch, c.timeout, smallAnswer+maxMails*mailBytes)
	cmd := c.client.Fetch(uidRange(from, upto), &imap.FetchOptions{
		UID: true, Envelope: true, InternalDate: true, RFC822Size: true, Flags: true,
	})
	var mails []mailbox.Mail
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		if mail := readMail(msg); mail.UID >= from && mail.UID <= upto && len(mails) < 2*maxMails {
			mails = append(mails, mail)
		}
	}
	if err := cmd.Close(); err != nil {
		return nil, c.wire.classify(err)
	}
	slices.SortFunc(mails, func(a, b mailbox.Mail) int { return cmp.Compare(a.UID, b.UID) })
	return mails, nil
}

func uidRange(from, upto uint32) imap.UIDSet {
	var set imap.UIDSet
	set.AddRange(imap.UID(from), imap.UID(upto))
	return set
}

func readMail(msg *imapclient.FetchMessageData) mailbox.Mail {
	var mail mailbox.Mail
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			mail.UID = uint32(item.UID)
		case imapclient.FetchItemDataRFC822Size:
			mail.Size = item.Size
		case imapclient.FetchItemDataInternalDate:
			mail.ReceivedAt = item.Time
		case imapclient.FetchItemDataEnvelope:
			mail.Subject = headerText(item.Envelope.Subject)
			if len(item.Envelope.From) > 0 {
				mail.From = sender(item.Envelope.From[0])
			}
		}
	}
	return mail
}

// sender prints an address for people: `Name <local@host>`.
func sender(a imap.Address) string {
	name, addr := headerText(a.Name), headerText(a.Addr())
	if name == "" {
		return addr
	}
	if addr == "" {
		return name
	}
	return name + " <" + addr + ">"
}

func headerText(s string) string { return clip(strings.ToValidUTF8(s, "\uFFFD"), maxHeaderText) }

func wordDecoder() *mime.WordDecoder { return &mime.WordDecoder{CharsetReader: charset.Reader} }
