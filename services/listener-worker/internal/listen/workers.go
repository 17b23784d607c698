// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package listen

import "time"

// countEvery is how old the number of workers may get while mailboxes are opened.
const countEvery = 5 * time.Second

// count finds out how many workers share the mail stores' paces. It matters only while
// mailboxes are opened, and a count of before will do until there is a new one.
func (l *Loop) count(now time.Time) {
	if l.cfg.Workers == nil || l.connects.idle() || now.Before(l.countAt) {
		return
	}
	l.countAt = now.Add(countEvery)
	l.loop.Go(func() {
		workers, err := l.cfg.Workers(l.ctx)
		l.loop.Post(func() { l.counted(workers, err) })
	})
}

func (l *Loop) counted(workers int, err error) {
	if err != nil && !l.uncounted {
		l.cfg.Log.WarnContext(l.ctx, "the workers that share the mail stores could not be counted", "error", err)
	}
	if l.uncounted = err != nil; !l.uncounted {
		l.connects.workers = max(workers, 1)
		l.connects.start()
	}
}
