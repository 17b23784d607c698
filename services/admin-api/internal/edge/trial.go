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
	"mailpush.internal/services/admin-api/internal/registry"
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
	Took           time.Duration // from the question to the endpoint's answer
}

// How often applications may have pushes sent that announce no mail, in each replica: to
// one endpoint, and for all of a context. An endpoint is somebody's server.
const (
	testsAtOnce, testEvery               = 3, 20 * time.Second
	contextTestsAtOnce, contextTestEvery = 20, 2 * time.Second
)

// Test has any live worker send a push that announces no mail.
func (e *Edge) Test(ctx context.Context, id string) (TestResult, error) {
	sub, err := e.Store.Subscription(ctx, id)
	if err != nil {
		return TestResult{}, err
	}
	return e.test(ctx, sub)
}

// TestOften is Test within limits. A subscription of a context that covers does not accept
// does not exist for the caller.
func (e *Edge) TestOften(ctx context.Context, id string, covers func(contextID string) bool) (TestResult, error) {
	sub, err := e.Store.Subscription(ctx, id)
	if err != nil {
		return TestResult{}, err
	}
	if !covers(sub.Context) {
		return TestResult{}, fault.New(fault.NotFound, "no such subscription: %s", id)
	}
	wait := e.tests.take(time.Now(),
		limit{"subscription " + id, testsAtOnce, testEvery}, limit{"context " + sub.Context, contextTestsAtOnce, contextTestEvery})
	if wait > 0 {
		refused := fault.New(fault.Exhausted, "tested too often: a subscription %d times and then once in %s, all of a context %d times and then once in %s",
			testsAtOnce, testEvery, contextTestsAtOnce, contextTestEvery)
		refused.RetryAfter = wait
		return TestResult{}, refused
	}
	return e.test(ctx, sub)
}

func (e *Edge) test(ctx context.Context, sub registry.Subscription) (TestResult, error) {
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
		began := time.Now()
		result, err = e.Workers.SendTest(ctx, w.Address, sub)
		if !errors.Is(err, ErrNoAnswer) {
			result.Took = time.Since(began)
			return result, err
		}
		e.Log.WarnContext(ctx, "worker did not answer", "worker", w.ID, "error", err)
	}
	return TestResult{}, err
}
