// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/service"
)

// addressOfServer makes the test's process a server, as a service is one.
const addressOfServer = "TEST_SERVER_ADDRESS"

func TestMain(m *testing.M) {
	if address := os.Getenv(addressOfServer); address != "" {
		if err := serveUntilRestarted(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveUntilRestarted answers with how often the process has been restarted.
func serveUntilRestarted(address string) error {
	ctx, restart := wire.NewRestart(context.Background())
	addresses := new(wire.Addresses)
	restarts, _ := strconv.Atoi(os.Getenv("TEST_RESTARTS"))
	if restarts == 0 { // as systemd hands a socket over; the test did not know the process id
		if err := errors.Join(os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())), os.Setenv("LISTEN_FDS", "1")); err != nil {
			return err
		}
	}
	listener, err := addresses.Bind(ctx, "test", address)
	if err != nil {
		return err
	}
	other, err := addresses.Bind(ctx, "other", "127.0.0.1:0") // which looks at all that is inherited
	if err != nil {
		return err
	}
	defer other.Close()
	if err := addresses.Keep(listener); err != nil {
		return err
	}
	err = service.Serve(ctx, slog.New(slog.DiscardHandler), "test", listener, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, restarts)
	}))
	if err != nil {
		return err
	}
	if err := os.Setenv("TEST_RESTARTS", strconv.Itoa(restarts+1)); err != nil {
		return err
	}
	return restart.Follow(addresses.Kept())
}

// Whoever connects while the process is restarted in its place is answered, not refused.
func TestASocketOutlivesRestarts(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	tcp, _ := listener.(*net.TCPListener)
	file, err := tcp.File()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Stderr = t.Output()
	command.ExtraFiles = []*os.File{file}
	command.Env = append(os.Environ(), addressOfServer+"="+address)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	_, _ = listener.Close(), file.Close() // from now on it is the process' alone

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	get := func() string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatalf("while the process is restarted: %v", err)
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	for restarts := range 4 {
		for got := get(); got != strconv.Itoa(restarts); got = get() {
			if got != strconv.Itoa(restarts-1) {
				t.Fatalf("restarted %s times, want %d", got, restarts)
			}
		}
		if err := command.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHandedOnSocketsAreTheOnesOfTheNextProcess(t *testing.T) {
	t.Parallel()
	environ := []string{"A=1", "LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES=x", "MAILPUSH_LISTEN_FDS=9", "MAILPUSH_LISTEN=kept"}
	for want, fds := range map[string][]int{
		"A=1 MAILPUSH_LISTEN=kept":                         nil,
		"A=1 MAILPUSH_LISTEN=kept MAILPUSH_LISTEN_FDS=4,5": {4, 5},
	} {
		if got := strings.Join(wire.HandOn(environ, fds), " "); got != want {
			t.Errorf("%v: %s, want %s", fds, got, want)
		}
	}
}
