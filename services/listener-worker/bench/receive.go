// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"mailpush.internal/pkg/pushtest"
)

const (
	// receiverArgument makes this program the endpoints.
	receiverArgument = "receive"
	// origins is how many ports the endpoints listen on.
	origins = 100
	// The paths of the endpoints; what is below them names who is counted.
	acceptPath = "/accept/"
	hangPath   = "/hang/"
	statsPath  = "/stats"
)

// stats is what the endpoints tell of themselves.
type stats struct {
	Requests  map[string]int `json:"requests"`  // by path
	Processor time.Duration  `json:"processor"` // used by their process
}

// counter counts requests by path.
type counter struct {
	mu       sync.Mutex
	requests map[string]int
}

func (c *counter) answer(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	switch path := request.URL.Path; {
	case path == statsPath:
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = json.NewEncoder(w).Encode(stats{c.requests, processorTime()}) // the asker notices
	case strings.HasPrefix(path, hangPath):
		<-request.Context().Done()
	default:
		c.mu.Lock()
		c.requests[path]++
		c.mu.Unlock()
		pushtest.Accept(w, request, push)
	}
}

// receive listens until its input ends, which it does with the process that made it.
// The addresses go to output.
func receive(input io.Reader, output, errs io.Writer) int {
	c := &counter{requests: make(map[string]int)}
	var addresses []string
	for range origins {
		receiver, err := pushtest.New(pushtest.Options{Answer: c.answer, Forget: true, Discard: true})
		if err != nil {
			fmt.Fprintln(errs, "bench:", err)
			return 1
		}
		addresses = append(addresses, strings.TrimPrefix(receiver.URL(), "http://"))
	}
	if err := json.NewEncoder(output).Encode(addresses); err != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, input) // until it ends, however
	return 0
}

// processorTime is what this process has used, garbage collection included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0 // it fails for bad arguments only
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
