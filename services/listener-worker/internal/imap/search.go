// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"math"
	"slices"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// searchWindow is how many UIDs the first search of a wide range looks at. Each window
// is so many times wider than the one before that found nothing.
const (
	searchWindow = 50_000
	wider        = 16
)

func searchCommand(set string) *command { return &command{text: "UID SEARCH UID " + set} }

// lowest keeps the lowest numbers it is given, each once.
type lowest struct {
	most    int
	numbers []uint32
	more    bool // there were others
}

func (l *lowest) add(first, last uint64) {
	for n := first; n <= last && n-first <= uint64(l.most); n++ {
		l.numbers = append(l.numbers, uint32(n))
		if len(l.numbers) >= 8*l.most {
			l.settle()
		}
	}
}

// settle sorts the numbers and drops those that are too many.
func (l *lowest) settle() []uint32 {
	slices.Sort(l.numbers)
	l.numbers = slices.Compact(l.numbers)
	if len(l.numbers) > l.most {
		l.numbers, l.more = l.numbers[:l.most], true
	}
	return l.numbers
}

// search lists the first UIDs of a range that there are, at most so many, and how far the
// list reaches. refused is true when the mail store will not search.
func (c *conn) search(from, upto uint32, most int) (uids []uint32, reach uint32, refused bool, failure *mailbox.Failure) {
	c.begin(stepSearch, largeAnswer)
	list := lowest{most: most}
	cut := false
	cmd := searchCommand(fmt.Sprintf("%d:%d", from, upto))
	err := c.ask(func(p *wire.Response) {
		if p.Is("SEARCH") || p.Is("ESEARCH") {
			cut = cut || p.Cut
			p.Numbers(func(first, last uint64) bool {
				first, last = max(first, uint64(from)), min(last, uint64(upto))
				list.add(first, last)
				return true
			})
		}
	}, cmd)
	if err != nil {
		return nil, 0, false, c.classify(err)
	}
	uids = list.settle()
	reach = upto
	if len(uids) > 0 && (list.more || cut) {
		reach = uids[len(uids)-1]
	}
	return uids, reach, cmd.err != nil, nil
}

// firstOf finds the first mails of a range wider than that: UIDs have gaps, and asking
// for the whole range could bring all of a large folder. The windows grow, so that gaps
// cost little however wide they are. first is 0 when there is no mail; last is how far the
// range was searched.
func (c *conn) firstOf(from, upto uint32, most int) (first, last uint32, failure *mailbox.Failure) {
	width := uint64(searchWindow)
	for start := uint64(from); start <= uint64(upto); {
		end := min(start+width-1, uint64(upto))
		uids, reach, refused, failure := c.search(uint32(start), uint32(end), most)
		switch {
		case failure != nil:
			return 0, 0, failure
		case refused && first != 0:
			return first, uint32(start - 1), nil
		case refused: // then by UIDs
			return uint32(start), uint32(min(start+uint64(most)-1, end)), nil
		case len(uids) > 0 && first == 0:
			first = uids[0]
		}
		if most -= len(uids); most <= 0 || uint64(reach) < end {
			return first, reach, nil
		}
		start = end + 1
		width *= wider
	}
	return first, upto, nil
}

// firstByNumber finds the first mails of the range by their sequence numbers, where SEARCH
// has found none and more mails are counted than lie below the range. Where the mail store
// does not tell, the first UIDs are as good as any, until nothing has come of them for
// long.
func (r *reading) firstByNumber(most int, searched uint32) (first, last uint32) {
	below, known := r.c.view.below(r.want.From)
	if !known {
		below, known = r.c.countBelow(r.want.From)
	}
	if !known || r.c.view.exists <= below {
		return 0, searched
	}
	upto := min(r.c.view.exists, below+uint32(most))
	uids := r.c.uidsOf(below+1, upto)
	uids = slices.DeleteFunc(uids, func(uid uint32) bool { return uid < r.want.From || uid > r.want.Upto })
	if len(uids) == 0 {
		if r.want.Gone >= r.want.From {
			return 0, searched
		}
		return r.want.From, uint32(min(uint64(r.want.From)+uint64(most)-1, uint64(searched)))
	}
	if upto == r.c.view.exists {
		return slices.Min(uids), searched
	}
	return slices.Min(uids), slices.Max(uids)
}

// countBelow finds out how many mails have a UID below one, where the mail store tells:
// UIDs ascend with the sequence numbers (RFC 9051 section 2.3.1.1).
func (c *conn) countBelow(uid uint32) (count uint32, known bool) {
	low, high := uint32(0), c.view.exists // so many are below, so many may be
	for low < high {
		middle := low + (high-low)/2
		found, failure := c.uidOf(middle + 1)
		switch {
		case failure != nil || found == 0: // the connection remembers an error
			return 0, false
		case found < uid:
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, true
}

// uidsOf returns the UIDs of mails by their sequence numbers, as far as the mail store
// tells.
func (c *conn) uidsOf(first, last uint32) []uint32 {
	c.begin(stepFetch, smallAnswer)
	var uids []uint32
	_ = c.ask(func(p *wire.Response) { // the connection remembers an error
		if f := p.Fetch(); p.Is("FETCH") && f.UID != 0 && f.UID <= math.MaxUint32 && len(uids) < maxAnswered {
			uids = append(uids, uint32(f.UID))
		}
	}, &command{text: fmt.Sprintf("FETCH %d:%d (UID)", first, last)})
	return uids
}

// uidOf returns the UID of a mail by its sequence number, 0 when the mail store does not
// tell.
func (c *conn) uidOf(seq uint32) (uint32, *mailbox.Failure) {
	c.begin(stepFetch, smallAnswer)
	found := uint64(0)
	err := c.ask(func(p *wire.Response) {
		if f := p.Fetch(); p.Is("FETCH") && p.Number == uint64(seq) && f.UID != 0 {
			found = f.UID
		}
	}, &command{text: fmt.Sprintf("FETCH %d (UID)", seq)})
	if err != nil {
		return 0, c.classify(err)
	}
	return uint32(min(found, math.MaxUint32)), nil
}
