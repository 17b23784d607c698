// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"mailpush.internal/pkg/fault"
)

const (
	// testTime bounds a test push: an endpoint may be slow, a caller's patience ends.
	testTime = 25 * time.Second
	// testWorkers is how many workers are asked when one does not answer.
	testWorkers = 3
)

// TestResult is what an endpoint has answered to a test push.
type TestResult struct {
	Accepted       bool
	Result, Detail string
}

// Test has any live worker send a push that announces no mail.
func (e *Edge) Test(ctx context.Context, id string) (TestResult, error) {
	sub, err := e.Store.Subscription(ctx, id)
	if err != nil {
		return TestResult{}, err
	}
	members, err := e.Scheduler.Members(ctx)
	if err != nil {
		return TestResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	err = fault.New(fault.Unavailable, "no live worker can send the push; try again")
	workers := slices.DeleteFunc(members.Workers, func(w Worker) bool { return w.Address == "" })
	rand.Shuffle(len(workers), func(i, j int) { workers[i], workers[j] = workers[j], workers[i] })
	for _, w := range workers[:min(len(workers), testWorkers)] {
		var result TestResult
		result, err = e.Workers.SendTest(ctx, w.Address, sub)
		if !errors.Is(err, ErrNoAnswer) {
			return result, err
		}
		e.Log.WarnContext(ctx, "worker did not answer", "worker", w.ID, "error", err)
	}
	return TestResult{}, err
}
