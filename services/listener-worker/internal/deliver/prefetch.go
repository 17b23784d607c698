// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package deliver

// prefetch are the lanes whose signing secret is to be opened ahead of their first
// push, max at a time, in no order. It holds nothing of a lane that is gone, however
// long the vault takes.
type prefetch struct {
	max     int
	active  int
	waiting laneSet // nil when none does
}

type laneSet map[*lane]struct{}

func (p *prefetch) push(lane *lane) {
	if !lane.via.Signs() {
		return
	}
	if p.waiting == nil {
		p.waiting = make(laneSet)
	}
	p.waiting[lane] = struct{}{}
}

func (p *prefetch) remove(lane *lane) {
	delete(p.waiting, lane)
	if len(p.waiting) == 0 {
		p.waiting = nil // a map keeps the room of a whole take-over
	}
}

// pop takes out a lane to open for, nil when there is none or no room. A lane that is
// pushing already opens for itself.
func (p *prefetch) pop() *lane {
	if p.active >= p.max {
		return nil
	}
	for lane := range p.waiting {
		p.remove(lane)
		if !lane.key.opened() && lane.cancel == nil {
			p.active++
			return lane
		}
	}
	return nil
}

// openAhead starts opening signing secrets. They need no turn and hold up nothing: a
// push that comes first opens its own.
func (l *Loop) openAhead() {
	for lane := l.prefetch.pop(); lane != nil; lane = l.prefetch.pop() {
		user, subscription := lane.box.user, lane.subscription
		l.beside(func() {
			opened, err := openKey(l.ctx, l.secrets, user, subscription)
			if err != nil {
				opened = key{} // the first push tries again, and tells
			}
			l.loop.Post(func() { l.openedAhead(lane, opened, editionOf(subscription)) })
		})
	}
}

// openedAhead takes in a secret, or that there is none.
func (l *Loop) openedAhead(lane *lane, opened key, of edition) {
	l.prefetch.active--
	if !lane.gone {
		lane.keep(opened, of)
	}
}
