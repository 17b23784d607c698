// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"mailpush.internal/trials/internal/rig"
)

// longestAbsence bounds how long a killed process is away.
const longestAbsence = 2 * time.Second

// havoc kills processes at random moments, as many times as it is told, spread over
// a length of time, and starts each again after a while. It returns when all are back,
// with how many were killed.
func (f *fleet) havoc(ctx context.Context, random *rand.Rand, kills int, length time.Duration, tell func(format string, args ...any)) (done int, err error) {
	var back sync.WaitGroup
	failed := make(chan error, kills)
	for done < kills {
		// Half to one and a half of the mean, so that they come at odds with all else.
		pause := time.Duration((0.5 + random.Float64()) * float64(length) / float64(kills))
		absence := time.Duration(random.Float64() * float64(longestAbsence))
		if err := rig.Pause(ctx, pause); err != nil {
			back.Wait()
			return done, err
		}
		victim := f.kill(random)
		if victim == nil {
			continue
		}
		done++
		tell("kill -9 of %s, away for %.1f s", victim.command.Name, absence.Seconds())
		back.Go(func() {
			if err := rig.Pause(ctx, absence); err != nil {
				return
			}
			failed <- f.start(victim)
		})
	}
	back.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return done, errors.Join(errs...)
}
