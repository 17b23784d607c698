// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
)

// receiver is the process of the endpoints, as seen from here.
type receiver struct {
	command   *exec.Cmd
	input     io.Closer
	addresses []string // one for each origin
}

func startReceiver(ctx context.Context) (*receiver, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	r := &receiver{command: exec.CommandContext(ctx, self, receiverArgument)} //nolint:gosec // it is this program
	r.command.Stderr = os.Stderr
	if r.input, err = r.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	output, err := r.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the process: %w", err)
	}
	if err := json.NewDecoder(output).Decode(&r.addresses); err != nil {
		return nil, fmt.Errorf("reading its addresses: %w", err)
	}
	return r, nil
}

// stop ends the process.
func (r *receiver) stop() error {
	_ = r.input.Close() // it ends by that
	if err := r.command.Wait(); err != nil {
		return fmt.Errorf("waiting for the endpoints: %w", err)
	}
	return nil
}

// url is an endpoint of the given origin, counted under a name.
func (r *receiver) url(origin int, path, name string) string {
	return "http://" + r.addresses[origin%len(r.addresses)] + path + name
}

// stats asks the endpoints what they have counted.
func (r *receiver) stats(ctx context.Context) (stats, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addresses[0]+statsPath, http.NoBody)
	if err != nil {
		return stats{}, fmt.Errorf("asking for counts: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return stats{}, fmt.Errorf("asking for counts: %w", err)
	}
	defer response.Body.Close()
	var out stats
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return stats{}, fmt.Errorf("reading counts: %w", err)
	}
	return out, nil
}

// contextOf spreads users over tenants.
func contextOf(n int) string { return strconv.Itoa(n % tenants) }
