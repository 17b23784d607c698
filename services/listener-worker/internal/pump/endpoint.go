// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import "time"

func (p *Pump) resetBatch() Batch {
	return Batch{Kind: Reset, UIDValidity: p.target.UIDValidity, Upto: p.target.UID}
}

func (p *Pump) send(batch Batch) []Effect {
	p.phase, p.misses = sending, 0
	p.sending = span{batch.Kind, batch.UIDValidity, batch.From, batch.Upto}
	batch.Mode, batch.Count = p.options.Mode, len(batch.Mails)
	batch.Unread, batch.Noticed, batch.Attempt = p.unread, p.noticed, p.failures+1
	return []Effect{Send{batch}}
}

// sent takes in the endpoint's answer.
func (p *Pump) sent(result Result, now time.Time) []Effect {
	if p.phase != sending {
		return nil
	}
	if result.Class != OK {
		if p.sending.kind == NewMail && !p.reset {
			p.pinned = p.sending.upto
		}
		p.failures++
		return p.away(p.policy.wait(result, p.failures), now)
	}
	p.failures = 0
	if p.sending.kind == NewMail {
		return p.served(p.sending.upto)
	}
	if p.sending.uidValidity != p.target.UIDValidity { // renumbered once more meanwhile
		p.phase = idle
		return []Effect{Done{}}
	}
	p.reset = false
	p.cursor.UIDValidity = p.target.UIDValidity
	return p.served(p.target.UID)
}

// served moves the cursor and gives the turn back.
func (p *Pump) served(upto uint32) []Effect {
	p.cursor.UID = upto
	p.pinned = 0
	p.phase = idle
	p.noticed = p.latest
	return []Effect{Commit{Cursor: p.cursor}, Done{}}
}

// away gives the turn back and waits before the next one.
func (p *Pump) away(wait time.Duration, now time.Time) []Effect {
	p.phase = waiting
	p.deadline = now.Add(wait)
	return []Effect{Done{}, Wait{Until: p.deadline}}
}
