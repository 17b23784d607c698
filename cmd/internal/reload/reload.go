// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package reload reads the configuration of a running process again, with the certificates
// and secrets that it names: on SIGHUP, and when a file has changed. Invariant: what is read
// is taken as a whole, or the configuration before stays in force as a whole; and it is
// taken only if the process could be started with it.
//
// Files are looked at every two seconds, and read: they are few and small. So it does not
// matter how they come to be others, by an editor, a rename, a symlink that Kubernetes turns,
// or on a file system that tells nobody; and one that is written anew with the same content
// is the same. What was seen to change is read when it has stayed the same for a second
// look, for it may be half written at the first.
package reload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
)

// lookEvery is how often files are looked at.
const lookEvery = 2 * time.Second

const onSignal = "SIGHUP"

// Ask judges settings that were read again and returns what has them taken, which cannot
// fail.
type Ask func(s *settings.Settings) (take func(), err error)

// Config sets up a Loop.
type Config struct {
	Log      *slog.Logger
	Level    *slog.LevelVar // of the log, which is a setting; may be nil
	Services []string       // that run in this process
	Path     string         // of the file with the settings; may be empty
	// Load reads the settings and judges them, as before a start. With an error it returns
	// those that could be read and are no good, if any.
	Load func() (*settings.Settings, error)
	// Started are what the process is started with, as Load returned it.
	Started *settings.Settings
	// Every is how often files are looked at; 2 s when zero.
	Every time.Duration
}

// Process is what goes by the settings.
type Process struct {
	// Asks are asked in order, and take the settings when none of them has refused. Nil
	// ones take nothing.
	Asks []Ask
	// Ends tells when certificates end that the settings do not name; may be nil.
	Ends func() map[string]time.Time
}

// Loop reads a configuration again.
type Loop struct {
	cfg     Config
	of      Process
	metrics *metrics
	hadText bool            // the file with the settings was not empty
	started settings.Values // of those the process was started with
	now     settings.Values // of those in force
	inForce *settings.Settings
	files   []string
	seen    [sha256.Size]byte // of the files at the last look
	read    [sha256.Size]byte // of those that were read last
	waiting []string          // settings that take a restart
}

// New notes what the process is started with. What changes from then on is read again by
// Run, also if it changes while the process starts.
func New(cfg Config) *Loop {
	if cfg.Every == 0 {
		cfg.Every = lookEvery
	}
	values := cfg.Started.Values(cfg.Services...)
	l := &Loop{cfg: cfg, metrics: newMetrics(), started: values, now: values, inForce: cfg.Started}
	l.watch(cfg.Started)
	text, _ := settings.ReadFile(cfg.Path)
	l.hadText = len(text) > 0
	l.read = l.look()
	l.seen = l.read
	return l
}

// Register registers the loop's metrics. Each service of a process has a registry.
func (l *Loop) Register(registry prometheus.Registerer) error { return l.metrics.register(registry) }

// Signals is where SIGHUP comes in, which does not end the process from now on.
func Signals() chan os.Signal {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	return asked
}

// Run reads the configuration again, when it is asked to and when files have changed, until
// ctx ends.
func (l *Loop) Run(ctx context.Context, asked <-chan os.Signal, of Process) error {
	l.of = of
	l.metrics.took(l.ends(l.inForce))
	tick := time.NewTicker(l.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
			l.seen = l.look()
			l.again(ctx, onSignal)
		case <-tick.C:
			before := l.seen
			l.seen = l.look()
			if l.seen != l.read && l.seen == before {
				l.again(ctx, "files have changed")
			}
		}
	}
}

// watch looks at the files that settings name from now on, and at the one with the settings.
func (l *Loop) watch(all ...*settings.Settings) {
	var files []string
	for _, s := range all {
		files = append(files, s.Files(l.cfg.Services...)...)
	}
	if l.cfg.Path != "" {
		files = append(files, l.cfg.Path)
	}
	slices.Sort(files)
	if files = slices.Compact(files); !slices.Equal(files, l.files) {
		l.files = files
		// What is in a file that was not looked at may have changed since it was read.
		l.read = [sha256.Size]byte{}
	}
}

// look tells one state of the files from the next.
func (l *Loop) look() [sha256.Size]byte {
	hash := sha256.New()
	for _, name := range l.files {
		text, err := settings.ReadFile(name)
		fmt.Fprintf(hash, "%q %d %v ", name, len(text), err)
		hash.Write(text)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// again reads the settings and takes them, or says why not.
func (l *Loop) again(ctx context.Context, why string) {
	l.read = l.seen
	next, takes, err := l.judge()
	if err != nil {
		if next != nil {
			l.watch(l.inForce, next) // one of its files may be what is wrong
		}
		l.metrics.refused()
		l.cfg.Log.ErrorContext(ctx, "the configuration was read again and is not taken; the one before stays in force", "why", why, "error", err)
		return
	}
	for _, take := range takes {
		take()
	}
	if l.cfg.Level != nil {
		next.Log.SetLevel(l.cfg.Level)
	}
	l.took(ctx, next, why)
}

// took notes which settings are in force, and tells what is other than before.
func (l *Loop) took(ctx context.Context, next *settings.Settings, why string) {
	values := next.Values(l.cfg.Services...)
	changes := l.now.ChangesFor(l.cfg.Services, values)
	l.inForce, l.now = next, values
	l.watch(next)
	l.metrics.took(l.ends(next))
	level := slog.LevelDebug
	if len(changes.Live)+len(changes.Restart) > 0 {
		l.metrics.generation.Inc()
		level = slog.LevelInfo
	}
	if why == onSignal {
		level = slog.LevelInfo
	}
	l.cfg.Log.Log(ctx, level, "the configuration was read again", "why", why, "changed", some(changes.Live))
	l.tellOfRestarts(ctx, l.started.ChangesFor(l.cfg.Services, values).Restart)
}

// IdentityEnds tells when the certificates of services end, by the files that they are in
// where they are in files.
func IdentityEnds(ids ...*identity.Identity) map[string]time.Time {
	ends := make(map[string]time.Time)
	for _, id := range ids {
		expires := id.Expires()
		ends[id.Service()+".crt"], ends["ca.crt"] = expires.Certificate, expires.Authority
	}
	return ends
}

var errEmptied = errors.New("it is empty, and was not before: taken for half written")

// judge reads the settings, and asks all whether they would take them. With an error it
// returns the settings as far as they could be read.
func (l *Loop) judge() (next *settings.Settings, takes []func(), err error) {
	if l.cfg.Path != "" {
		text, err := settings.ReadFile(l.cfg.Path)
		if err == nil && len(text) == 0 && l.hadText {
			err = fmt.Errorf("reading %s: %w", l.cfg.Path, errEmptied)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if next, err = l.cfg.Load(); err != nil {
		return next, nil, err
	}
	for _, ask := range l.of.Asks {
		if ask == nil {
			continue
		}
		take, err := ask(next)
		if err != nil {
			return next, nil, err
		}
		takes = append(takes, take)
	}
	return next, takes, nil
}

// tellOfRestarts names the settings that take a restart, each once.
func (l *Loop) tellOfRestarts(ctx context.Context, waiting []string) {
	for _, setting := range waiting {
		if !slices.Contains(l.waiting, setting) {
			l.cfg.Log.WarnContext(ctx, "a setting has changed that takes a restart; what it was at the start stays in force", "setting", setting)
		}
	}
	l.waiting = waiting
	l.metrics.waits(len(waiting) > 0)
}

// ends tells when all certificates end.
func (l *Loop) ends(s *settings.Settings) map[string]time.Time {
	ends := s.CertificateEnds(l.cfg.Services...)
	if l.of.Ends != nil {
		maps.Copy(ends, l.of.Ends())
	}
	return ends
}

// some is a list that is short enough for a line of the log.
func some(names []string) string {
	const most = 12
	if left := len(names) - most; left > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), left)
	}
	return strings.Join(names, ", ")
}
