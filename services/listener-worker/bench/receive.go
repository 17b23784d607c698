// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
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

	headerTimeout = 10 * time.Second
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

func (c *counter) accept(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the sender would notice
	c.mu.Lock()
	c.requests[r.URL.Path]++
	c.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (c *counter) stats(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = json.NewEncoder(w).Encode(stats{c.requests, processorTime()}) // the asker notices
}

// receive listens until its input ends, which it does with the process that made it.
// The addresses go to output.
func receive(input io.Reader, output, errs io.Writer) int {
	c := &counter{requests: make(map[string]int)}
	mux := http.NewServeMux()
	mux.HandleFunc(acceptPath, c.accept)
	mux.HandleFunc(hangPath, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the end of the connection is noticed
		<-r.Context().Done()
	})
	mux.HandleFunc(statsPath, c.stats)
	var addresses []string
	for range origins {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback takes no time to cancel
		if err != nil {
			fmt.Fprintln(errs, "bench: listening:", err)
			return 1
		}
		addresses = append(addresses, listener.Addr().String())
		server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(errs, "bench: serving:", err)
			}
		}()
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
