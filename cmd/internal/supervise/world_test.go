// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailpush.internal/cmd/internal/supervise"
	"mailpush.internal/pkg/backoff"
)

const (
	// patience bounds each wait for something that is expected to happen.
	patience = time.Minute
	// role and address make the test's program a process that does what the test at the
	// address says, or a supervisor of such processes.
	role    = "TEST_ROLE"
	address = "TEST_ADDRESS"

	roleWorker, roleSupervisor = "worker", "supervisor"
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case roleWorker:
		if err := obey(os.Getenv(address)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(100)
		}
	case roleSupervisor:
		signals, _ := supervise.Signals()
		os.Exit(supervise.New(supervise.Config{
			Path: os.Args[0], Env: workerEnv(os.Getenv(address)), Log: slog.New(slog.DiscardHandler),
			Revoke: func(context.Context, supervise.Registration) error { return nil },
		}).Run(signals))
	default:
		os.Exit(m.Run())
	}
}

func workerEnv(at string) []string {
	return append(os.Environ(), role+"="+roleWorker, address+"="+at)
}

// obey says what happens to this process, and does what it is told.
func obey(at string) error {
	parent, err := supervise.FindParent()
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", at)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(conn, format+"\n", args...)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for signal := range signals {
			say("got %s", signal)
		}
	}()
	asked := parent.Watch(context.Background())
	go func() {
		<-asked.Done()
		say("asked to end")
	}()
	say("%d", os.Getpid())
	orders := bufio.NewScanner(conn)
	for orders.Scan() {
		words := strings.Fields(orders.Text())
		switch words[0] {
		case "tell":
			lease, err := strconv.ParseInt(words[2], 16, 64)
			if err != nil {
				return err
			}
			if err := parent.Tell(supervise.Registration{Worker: words[1], Lease: lease}); err != nil {
				return err
			}
		case "write": // what no worker would
			if _, err := syscall.Write(supervise.FirstSocket-1, []byte(words[1]+"\n")); err != nil {
				return err
			}
		case "who": // listens at the first inherited socket
			listener, err := net.FileListener(os.NewFile(supervise.FirstSocket, "inherited"))
			if err != nil {
				return err
			}
			say("%s", listener.Addr())
			continue
		case "spawn": // a process of its own, which inherits the socket
			pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exec tail -f /dev/null"},
				&syscall.ProcAttr{Files: []uintptr{0, 1, 2, supervise.FirstSocket - 1}})
			if err != nil {
				return err
			}
			say("%d", pid)
			continue
		case "exit":
			code, _ := strconv.Atoi(words[1])
			os.Exit(code) //nolint:revive // this is the main function of a process
		}
		say("done")
	}
	return orders.Err()
}

// worker is such a process, as its test sees it.
type worker struct {
	t    *testing.T
	conn net.Conn
	said chan string // closed when the process is gone
	pid  int
}

// expect waits for the next word of the process.
func (w *worker) expect(want string) {
	w.t.Helper()
	select {
	case got, open := <-w.said:
		if got != want || !open {
			w.t.Fatalf("it said %q, want %q", got, want)
		}
	case <-time.After(patience):
		w.t.Fatalf("it did not say %q", want)
	}
}

func (w *worker) order(format string, args ...any) {
	w.t.Helper()
	if _, err := fmt.Fprintf(w.conn, format+"\n", args...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) tell(id string, lease int64) {
	w.t.Helper()
	w.order("tell %s %x", id, lease)
	w.expect("done")
}

// gone waits until nothing of the process is left.
func (w *worker) gone() {
	w.t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, open := <-w.said:
			if !open {
				return
			}
		case <-late:
			w.t.Fatal("it does not end")
		}
	}
}

func (w *worker) kill(signal syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(w.pid, signal); err != nil {
		w.t.Fatal(err)
	}
}

// awaitState waits until the system says that the process is in a state.
func (w *worker) awaitState(state string) {
	w.t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.pid))
		if err == nil && strings.Contains(string(text), ") "+state+" ") {
			return
		}
		select {
		case <-again.C:
		case <-late:
			w.t.Fatalf("it does not come into the state %s: %s, %v", state, text, err)
		}
	}
}

// home is where the processes of a test come to.
type home struct {
	t        *testing.T
	listener net.Listener
	workers  chan *worker
}

func newHome(t *testing.T) *home {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, listener: listener, workers: make(chan *worker, 100)}
	var serving sync.WaitGroup
	var conns []net.Conn
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			w := &worker{t: t, conn: conn, said: make(chan string, 100)}
			serving.Go(func() { h.serve(w) })
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-accepted
		for _, conn := range conns { // a process without orders ends
			_ = conn.Close()
		}
		serving.Wait()
	})
	return h
}

func (h *home) serve(w *worker) {
	defer close(w.said)
	defer w.conn.Close()
	lines := bufio.NewScanner(w.conn)
	for lines.Scan() {
		if w.pid == 0 {
			w.pid, _ = strconv.Atoi(lines.Text())
			h.workers <- w
			continue
		}
		w.said <- lines.Text()
	}
}

// next waits for the next process to come.
func (h *home) next() *worker {
	h.t.Helper()
	select {
	case w := <-h.workers:
		return w
	case <-time.After(patience):
		h.t.Fatal("no process has come")
		return nil
	}
}

// trial is a supervisor in the test's own process.
type trial struct {
	*home

	signals chan os.Signal // without a buffer: who has sent one knows that it was taken
	code    chan int
	log     *lockedBuffer

	mu      sync.Mutex
	revoked []supervise.Registration
}

func begin(t *testing.T, change func(*supervise.Config)) *trial {
	t.Helper()
	w := &trial{home: newHome(t), signals: make(chan os.Signal), code: make(chan int, 1), log: new(lockedBuffer)}
	config := supervise.Config{
		Path: os.Args[0], Env: workerEnv(w.listener.Addr().String()),
		Log:      slog.New(slog.NewTextHandler(w.log, nil)),
		Restarts: backoff.Backoff{Min: time.Millisecond, Max: time.Millisecond},
		Revoke: func(_ context.Context, of supervise.Registration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.revoked = append(w.revoked, of)
			return nil
		},
	}
	if change != nil {
		change(&config)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.code <- supervise.New(config).Run(w.signals)
	}()
	t.Cleanup(func() {
		for range 2 { // the second one kills
			select {
			case w.signals <- syscall.SIGTERM:
			case <-ended:
			}
		}
		<-ended
		if t.Failed() {
			t.Logf("the supervisor's log:\n%s", w.log.String())
		}
	})
	return w
}

// ends waits for the end of the supervisor, after which nothing is revoked any more.
func (w *trial) ends(code int, revoked ...supervise.Registration) {
	w.t.Helper()
	select {
	case got := <-w.code:
		if got != code {
			w.t.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(patience):
		w.t.Fatal("it does not end")
	}
	w.expectRevoked(revoked...)
}

// awaitLog waits until the supervisor has logged something.
func (w *trial) awaitLog(text string) {
	w.t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !strings.Contains(w.log.String(), text); {
		select {
		case <-again.C:
		case <-late:
			w.t.Fatalf("it has not logged %q", text)
		}
	}
}

func (w *trial) expectRevoked(want ...supervise.Registration) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.revoked, want) {
		w.t.Errorf("revoked %v, want %v", w.revoked, want)
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
