// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailpush.internal/trials/internal/rig"
)

const (
	// bursts is how often a part of the listeners gets a mail each.
	bursts = 3
	// settled is when a listener that was opened, or that got a mail, has looked once more
	// and waits again.
	settled = 8 * time.Second
	// rounds is how often all listeners are told the same thing.
	rounds = 3

	// quietStep is a while, and quietLoad what part of a processor a worker uses in it that
	// has nothing to do.
	quietStep = 250 * time.Millisecond
	quietLoad = 0.03
	// busyAtMost is when a worker counts as never to come to rest.
	busyAtMost = time.Minute

	// givenBack is when a worker has given memory back to the system after a storm; it does
	// so once a minute at most.
	givenBack = 75 * time.Second

	// refreshEvery is how often restless listeners renew IDLE, restlessOnes how many there
	// are at most, and refreshFor how long they are watched.
	refreshEvery = 5 * time.Second
	restlessOnes = 500
	refreshFor   = 20 * time.Second

	stillHere = "* OK Still here\r\n"
)

// longestRecord is words of no interest that fill one TLS record.
func longestRecord() string {
	const record = 16 << 10
	line := "* 1 FETCH (FLAGS (\\Seen \\Answered \\Flagged))\r\n"
	text := strings.Repeat(line, record/len(line)-1)
	return text + "* OK " + strings.Repeat("x", record-len(text)-len("* OK \r\n")) + "\r\n"
}

// work measures what listeners cost that have something to do, and what they cost at rest
// after that.
func (l *lab) work(ctx context.Context, f *figures) error {
	if err := l.wakeUp(ctx, f); err != nil {
		return err
	}
	var told []cost
	for range rounds {
		one, err := l.tell(ctx, stillHere)
		if err != nil {
			return err
		}
		told = append(told, one)
	}
	f.stillHere = median(told)
	given := l.releases(ctx)
	if _, err := l.tell(ctx, longestRecord()); err != nil {
		return err
	}
	for end := time.Now().Add(givenBack); l.releases(ctx) == given && time.Now().Before(end); {
		if err := rig.Pause(ctx, quietStep); err != nil {
			return err
		}
	}
	var err error
	f.afterMail, err = rig.Resident(ctx, l.Worker)
	return err
}

// wakeUp delivers a mail to every listener, in bursts: from EXISTS until the push is
// accepted and IDLE stands again. What the look costs that comes a while after new mail is
// measured apart.
func (l *lab) wakeUp(ctx context.Context, f *figures) error {
	var wakeups, looks []cost
	for n := range bursts {
		first := n * l.Listeners() / bursts
		boxes := (n+1)*l.Listeners()/bursts - first
		events := l.Receiver.Events()
		wakeup, err := l.spent(boxes, func() error {
			if err := l.Double.Deliver(rig.Mailing{First: first, Boxes: boxes}); err != nil {
				return err
			}
			return l.AwaitPushes(ctx, events+boxes)
		})
		if err != nil {
			return err
		}
		look, err := l.spent(boxes, func() error { return rig.Pause(ctx, settled) })
		if err != nil {
			return err
		}
		wakeups, looks = append(wakeups, wakeup), append(looks, look)
	}
	f.wakeup, f.look = median(wakeups), median(looks)
	return nil
}

// tell says something to all listeners and waits until the worker has come to rest.
func (l *lab) tell(ctx context.Context, text string) (cost, error) {
	told := 0
	spent, err := l.spent(0, func() (err error) {
		if told, err = l.Double.Say(text); err != nil {
			return err
		}
		return l.rest(ctx)
	})
	spent.things = told
	return spent, err
}

// spent is what something costs the worker, without what it uses while nothing happens.
func (l *lab) spent(things int, do func() error) (cost, error) {
	begun := time.Now()
	before, err := rig.CPU(l.Worker)
	if err != nil {
		return cost{}, err
	}
	if err := do(); err != nil {
		return cost{}, err
	}
	after, err := rig.CPU(l.Worker)
	idle := time.Duration(l.idleLoad * float64(time.Since(begun)))
	return cost{things, max(after-before-idle, 0)}, err
}

// releases is how often the worker has given memory back to the system, 0 for one that does
// not count it.
func (l *lab) releases(ctx context.Context) float64 {
	n, err := rig.Metric(ctx, l.Mailpush.WorkerOps(), "mailpush_worker_memory_releases_total")
	if err != nil {
		return 0
	}
	return n
}

// rest waits until the worker has nothing more to do.
func (l *lab) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyAtMost)
	defer cancel()
	for last := time.Duration(-1); ; {
		now, err := rig.CPU(l.Worker)
		if err != nil {
			return err
		}
		if last >= 0 && (now-last).Seconds() < (l.idleLoad+quietLoad)*quietStep.Seconds() {
			return nil
		}
		last = now
		if err := rig.Pause(ctx, quietStep); err != nil {
			return err
		}
	}
}

// refresh measures what it costs to renew IDLE: to end it, to ask where the folder ends,
// and to begin it again.
func (l *lab) refresh(ctx context.Context, f *figures) error {
	ones := min(restlessOnes, l.plan.listeners)
	if err := l.rest(ctx); err != nil {
		return err
	}
	if err := l.SubscribeRestless(ctx, l.Listeners()+ones); err != nil {
		return err
	}
	if err := rig.Pause(ctx, settled); err != nil {
		return err
	}
	before, err := l.Double.Counts()
	if err != nil {
		return err
	}
	if f.refresh, err = l.spent(0, func() error { return rig.Pause(ctx, refreshFor) }); err != nil {
		return err
	}
	after, err := l.Double.Counts()
	f.refresh.things = after.Idles - before.Idles
	return err
}

// median is the one in the middle, by what each thing costs.
func median(costs []cost) cost {
	sorted := slices.SortedFunc(slices.Values(costs), func(a, b cost) int { return int(a.each() - b.each()) })
	return sorted[len(sorted)/2]
}
