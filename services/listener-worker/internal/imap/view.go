// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import "mailpush.internal/services/listener-worker/internal/imap/internal/wire"

// view is what the mail store shows of the folder on this connection, which may lag
// behind what it tells by STATUS: the sequence numbers say how many mails there are, and
// so whether one is missing among those that were shown.
type view struct {
	exists uint32 // how many mails it shows
	next   uint32 // mails below this UID are in it, unless they are gone
	anchor anchor // as far as the folder was read, or as it was when it was opened
	recent anchor // where the last read ended
	look   anchor // as it was when last looked at
	read   uint32 // mails below this UID were shown, or are gone
	gone   uint32 // how many have gone since that were above the anchor
	lost   uint32 // how many have gone of which it is not known which
}

// anchor says that so many mails have a UID below next.
type anchor struct {
	count, next uint32
	known       bool
}

// opened begins anew, with what opening the folder told; same says that its UIDs are
// those of before.
func (v *view) opened(next uint32, same bool) {
	here := anchor{v.exists, next, next != 0}
	*v = view{exists: v.exists, next: next, look: here, anchor: here, read: v.read}
	if !same {
		v.read = 0
	}
}

// counted takes the number of mails. One that is lower than it should be has mails gone
// nobody knows where, until EXPUNGE comes late.
func (v *view) counted(count uint32) {
	if count < v.exists {
		v.lost += v.exists - count
	}
	v.exists = count
}

// expunged takes a mail away by its sequence number.
func (v *view) expunged(seq uint32) {
	switch {
	case seq == 0 || uint64(seq) > uint64(v.exists)+uint64(v.lost):
		return
	case v.lost > 0:
		v.lost-- // it is not counted any more
	default:
		v.exists--
	}
	v.look.drop(seq)
	v.recent.drop(seq)
	if !v.anchor.drop(seq) {
		v.gone++
	}
}

// drop takes a mail away; it returns false when it was none of the anchor's.
func (a *anchor) drop(seq uint32) bool {
	if seq > a.count {
		return false
	}
	a.count--
	return true
}

// vanished takes mails away by their UIDs (RFC 7162 section 3.2.10).
func (v *view) vanished(p *wire.Response) {
	p.Numbers(func(first, last uint64) bool {
		v.exists -= uint32(min(last-first+1, uint64(v.exists)))
		for _, a := range []*anchor{&v.anchor, &v.recent, &v.look} {
			if below := min(last+1, uint64(a.next)); first < below {
				a.count -= uint32(min(below-first, uint64(a.count)))
			}
		}
		if above := max(first, uint64(v.anchor.next)); above <= last {
			v.gone += uint32(min(last-above+1, 1<<20))
		}
		return true
	})
}

// contradicts tells whether more mails have come since the last look than next allows
// for: a mail store that tells an old end of the folder.
func (v *view) contradicts(next uint32) bool {
	l := v.look
	return l.known && v.lost == 0 && next >= l.next && uint64(v.exists) > uint64(l.count)+uint64(next-l.next)
}

// looked remembers where the folder was found to end.
func (v *view) looked(next uint32) { v.look = anchor{v.exists, next, true} }

// covered remembers that mails below next were read, and how many have such a UID.
func (v *view) covered(count, next uint32) {
	v.recent = anchor{count, next, true}
	if next > v.anchor.next || !v.anchor.known {
		v.anchor = anchor{count, next, true}
		v.gone = 0
	}
	v.next = max(v.next, next)
}

// below is how many mails have a UID below one, where that is known.
func (v *view) below(uid uint32) (count uint32, known bool) {
	for _, a := range []anchor{v.anchor, v.recent} {
		if a.known && v.lost == 0 && a.next == uid {
			return a.count, true
		}
	}
	return 0, false
}
