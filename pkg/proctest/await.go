// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package proctest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// pollEvery is the pause between two checks of what cannot be waited for otherwise.
const pollEvery = 20 * time.Millisecond

// Await repeats check until it returns nil. When ctx ends first, the error is the last
// of check's.
func Await(ctx context.Context, what string, check func(context.Context) error) error {
	return await(ctx, what, check, nil)
}

// Await does that for as long as the process runs; when it has ended, the error shows
// the end of its log.
func (p *Process) Await(ctx context.Context, what string, check func(context.Context) error) error {
	err := await(ctx, what, check, p.ended)
	if errors.Is(err, errEnded) {
		log := p.Log()
		return fmt.Errorf("waiting for %s: %w\n%s", what, p.how(), log[max(0, len(log)-tail):])
	}
	return err
}

var errEnded = errors.New("it has ended")

func await(ctx context.Context, what string, check func(context.Context) error, ended <-chan struct{}) error {
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // the deadline itself says little
			last = err
		}
		select {
		case <-again.C:
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, last)
		}
	}
}

// FreeAddresses finds n addresses of a loopback host, such as 127.0.0.1, where nobody
// listens at this moment. They differ. Connections out take their ports from the same
// range, with 127.0.0.1 as their own address: an address that must stay free for a while
// is safer with another host, such as 127.0.0.2.
func FreeAddresses(ctx context.Context, host string, n int) ([]string, error) {
	var addresses []string
	var held []net.Listener
	defer func() { // not before all are found
		for _, listener := range held {
			_ = listener.Close()
		}
	}()
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("finding a free address of %s: %w", host, err)
		}
		held, addresses = append(held, listener), append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
