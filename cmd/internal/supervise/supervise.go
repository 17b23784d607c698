// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package supervise is a small parent of one worker process. It starts the process again
// when it ends, and revokes the lease of one that has died, so that others take its shards
// over at once and not when the lease has run out.
//
// Invariant: a lease is revoked only after the system has told the parent, by wait4, that
// the process it belongs to is dead. One that stands still, hangs, or does not answer is
// alive: it may act until its own fence, so its lease ends by itself.
//
// Parent and process share a socket. The process tells its registrations on it; that its
// other end is closed tells the process to end in order, whether the parent was asked to
// stop or has died itself. So nothing of a worker outlives its parent, and a process that
// systemd or a terminal signals as well as its parent is not asked twice: a second SIGTERM
// would end it at once.
package supervise

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"mailpush.internal/pkg/backoff"
)

const (
	// exitError is the code of a supervisor that has given up.
	exitError = 1
	// killed is what a signal's number is added to in an exit code, as shells do.
	killed = 128

	defaultRevokeWithin = 5 * time.Second
	defaultRecovered    = time.Minute
	defaultMostEnds     = 10
)

// Config says what to run. Path, Log and Revoke must be set; what else is zero gets the
// default named.
type Config struct {
	Path string
	Args []string // without the name of the program
	Env  []string // what the process is told of its parent is added
	// Sockets stay open for as long as the supervisor runs. Each process inherits them, as
	// file descriptors from FirstSocket on.
	Sockets        []*os.File
	Stdout, Stderr *os.File // os.Stdout, os.Stderr

	Log *slog.Logger
	// Revoke ends the lease of a registration whose process is dead.
	Revoke func(ctx context.Context, of Registration) error
	// RevokeWithin bounds it (5 s): a lease that was not revoked by then ends by itself.
	RevokeWithin time.Duration

	// Restarts are the pauses before the process is started again (200 ms, doubled up
	// to 30 s). One that ran for Recovered (1 min) is started at once.
	Restarts  backoff.Backoff
	Recovered time.Duration
	// MostEnds is how many processes in a row may end sooner than that (10). Then the
	// supervisor gives up, and whoever runs it decides.
	MostEnds int
}

// Supervisor runs one process at a time.
type Supervisor struct {
	cfg      Config
	revoking sync.WaitGroup
}

// New makes a supervisor that does nothing until Run.
func New(cfg Config) *Supervisor {
	if cfg.Stdout == nil {
		cfg.Stdout = os.Stdout
	}
	if cfg.Stderr == nil {
		cfg.Stderr = os.Stderr
	}
	if cfg.RevokeWithin == 0 {
		cfg.RevokeWithin = defaultRevokeWithin
	}
	if cfg.Restarts == (backoff.Backoff{}) {
		cfg.Restarts = backoff.Backoff{Min: 200 * time.Millisecond, Max: 30 * time.Second}
	}
	if cfg.Recovered == 0 {
		cfg.Recovered = defaultRecovered
	}
	if cfg.MostEnds == 0 {
		cfg.MostEnds = defaultMostEnds
	}
	return &Supervisor{cfg: cfg}
}

// Run keeps the process running until a SIGTERM or SIGINT among the signals, which has the
// process end in order, for as long as it takes; a second one kills it. Every other signal
// is passed on. It returns the exit code of the last process, or 1 when it has given up.
func (s *Supervisor) Run(signals <-chan os.Signal) int {
	defer s.revoking.Wait()
	for ends := (streak{}); ; {
		end := s.runOnce(signals)
		if end.asked {
			return end.code
		}
		ends.add(end.lived, s.cfg.Recovered)
		if ends.n >= s.cfg.MostEnds {
			s.cfg.Log.Error("the worker ends again and again, and is not started any more", "ends", ends.n, "last", end.how)
			return exitError
		}
		wait := ends.pause(s.cfg.Restarts, rand.Float64())
		s.cfg.Log.Warn("starting the worker again", "in", wait, "short_lives", ends.n)
		if stopped(signals, wait) {
			return 0
		}
	}
}

// end is how a process has ended.
type end struct {
	asked bool // to end
	code  int
	how   string
	lived time.Duration
}

// runOnce runs one process to its end.
func (s *Supervisor) runOnce(signals <-chan os.Signal) end {
	p, err := s.start()
	if err != nil {
		s.cfg.Log.Error("the worker could not be started", "error", err)
		return end{code: exitError, how: err.Error()}
	}
	s.cfg.Log.Info("worker started", "pid", p.pid())
	asked := false
	for {
		select {
		case signal := <-signals:
			asked = s.signal(p, signal, asked) || asked
		case <-p.ended:
			of, known := p.registration()
			result := p.end(asked)
			switch {
			case result.code == 0: // in order: it has left the cluster by itself
				s.cfg.Log.Info("worker ended", "pid", p.pid(), "lived", result.lived)
			case known:
				s.cfg.Log.Error("worker died", "pid", p.pid(), "how", result.how, "lived", result.lived, "worker", of.Worker)
				s.revoking.Go(func() { s.revoke(of) })
			default:
				s.cfg.Log.Error("worker died before it was registered", "pid", p.pid(), "how", result.how, "lived", result.lived)
			}
			return result
		}
	}
}

// signal takes in a signal that the supervisor has got, and tells whether it asks to end.
func (s *Supervisor) signal(p *process, signal os.Signal, asked bool) bool {
	stop := isStop(signal)
	switch {
	case stop && asked:
		s.cfg.Log.Warn("killing the worker, as asked a second time", "pid", p.pid())
		p.signal(syscall.SIGKILL)
	case stop:
		s.cfg.Log.Info("stopping the worker", "pid", p.pid(), "signal", signal.String())
		p.stop()
	default:
		p.signal(signal)
	}
	return stop
}

func isStop(signal os.Signal) bool { return signal == syscall.SIGTERM || signal == syscall.SIGINT }

// revoke ends the lease of a process that is dead.
func (s *Supervisor) revoke(of Registration) {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.RevokeWithin)
	defer cancel()
	began := time.Now()
	if err := s.cfg.Revoke(ctx, of); err != nil {
		s.cfg.Log.Error("the lease of a dead worker was not revoked and ends by itself", "worker", of.Worker, "lease", of.leaseText(), "error", err)
		return
	}
	s.cfg.Log.Info("revoked the lease of a dead worker", "worker", of.Worker, "lease", of.leaseText(), "took", time.Since(began))
}

// stopped waits, and tells whether a signal asked to end meanwhile. There is no process
// that any other would be for.
func stopped(signals <-chan os.Signal, wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		select {
		case signal := <-signals:
			if isStop(signal) {
				return true
			}
		case <-over.C:
			return false
		}
	}
}

// Signals brings those that a supervisor handles, until stop is called.
func Signals() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return ch, func() { signal.Stop(ch) }
}

// closeAll closes what nothing can be lost of.
func closeAll(closers ...io.Closer) {
	for _, closer := range closers {
		_ = closer.Close()
	}
}
