// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package reload_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/cmd/internal/reload"
	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/pkg/identity"
)

// world is a process that reads its configuration again.
type world struct {
	t       *testing.T
	path    string
	hangups chan os.Signal
	metrics *prometheus.Registry
	level   slog.LevelVar

	mu    sync.Mutex
	taken *settings.Settings
	times int
	bad   error // what the service has against settings
	text  bytes.Buffer
}

// Write is the log.
func (w *world) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(line)
}

func (w *world) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *world) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = err
}

func (w *world) ask(s *settings.Settings) (func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.taken = s
		w.times++
	}, w.bad
}

// in is the settings that were taken last; nil when none were.
func (w *world) in() *settings.Settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

// write writes the file in one step: what it holds in between is another test's.
func (w *world) write(text string) {
	w.t.Helper()
	beside := w.path + ".new"
	if err := errors.Join(os.WriteFile(beside, []byte(text), 0o600), os.Rename(beside, w.path)); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a worker's configuration, which is in a file.
func start(t *testing.T, path, text string) *world {
	t.Helper()
	w := &world{t: t, path: path, hangups: make(chan os.Signal, 1), metrics: prometheus.NewRegistry()}
	if text != "" {
		w.write(text)
	}
	load := func() (*settings.Settings, error) {
		s, err := settings.Load(path, nil, nil)
		if err != nil {
			return nil, err
		}
		err = s.Validate(identity.Worker)
		return s, err
	}
	started, err := load()
	if err != nil {
		t.Fatal(err)
	}
	loop := reload.New(reload.Config{
		Log: slog.New(slog.NewTextHandler(w, nil)), Level: &w.level, Services: []string{identity.Worker}, Path: path, Load: load,
		Started: started, Every: 5 * time.Millisecond,
	})
	if err := loop.Register(w.metrics); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx, w.hangups, reload.Process{Asks: []reload.Ask{nil, w.ask}}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

func (w *world) await(what string, there func() bool) {
	w.t.Helper()
	for late := time.After(time.Minute); !there(); {
		select {
		case <-late:
			w.t.Fatalf("there is never %s; the log:\n%s", what, w.log())
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *world) awaitLog(want string) {
	w.t.Helper()
	w.await(want, func() bool { return strings.Contains(w.log(), want) })
}

// metric is the value of a metric without labels, or of the first with some.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	w.t.Fatalf("there is no %s", name)
	return 0
}

func (w *world) expect(generation, successful, restart float64) {
	w.t.Helper()
	for name, want := range map[string]float64{
		"generation": generation, "last_reload_successful": successful, "restart_needed": restart,
	} {
		w.await(name, func() bool { return w.metric("mailpush_config_"+name) == want })
	}
	if at := w.metric("mailpush_config_last_reload_success_timestamp_seconds"); time.Since(time.Unix(int64(at), 0)) > time.Hour {
		w.t.Errorf("succeeded at %v", at)
	}
}

const base = "worker: {notify: {listen: '127.0.0.1:1', username: dove, password: one}}\n"

func TestAChangeOfTheFileIsTaken(t *testing.T) {
	t.Parallel()
	w := start(t, filepath.Join(t.TempDir(), "mailpush.yaml"), base)
	w.expect(1, 1, 0)
	w.write(strings.Replace(base, "one", "two", 1) + "log: {level: debug}\n")
	w.await("the change", func() bool { s := w.in(); return s != nil && s.Worker.Notify.Password.Reveal() == "two" })
	w.expect(2, 1, 0)
	w.awaitLog(`level=INFO msg="the configuration was read again" why="files have changed" changed="log.level, worker.notify.password"`)
	if w.level.Level() != slog.LevelDebug || strings.Contains(w.log(), "two") {
		t.Errorf("level %s; the log:\n%s", w.level.Level(), w.log())
	}
}

// What would not do for a start is not taken, and says so once, until it is mended.
func TestWhatIsNoConfigurationLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"half written":     {"worker: {notify: {listen: '127.", "mailpush.yaml"},
		"empty":            {"", "is empty, and was not before"},
		"an unknown key":   {base + "log: {levle: debug}\n", `did you mean \"log.level\"?`},
		"an invalid value": {base + "log: {level: loud}\n", "log.level"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, filepath.Join(t.TempDir(), "mailpush.yaml"), base)
			w.write(c.text)
			w.awaitLog("level=ERROR")
			w.expect(1, 0, 0)
			if !strings.Contains(w.log(), c.want) || w.in() != nil {
				t.Errorf("the log lacks %q:\n%s", c.want, w.log())
			}
			w.write(base)
			w.expect(1, 1, 0)
			if n := strings.Count(w.log(), "level=ERROR"); n != 1 {
				t.Errorf("%d errors, want one:\n%s", n, w.log())
			}
		})
	}
}

// One service that refuses keeps all of the settings from being taken.
func TestWhatAServiceRefusesIsNotTaken(t *testing.T) {
	t.Parallel()
	w := start(t, filepath.Join(t.TempDir(), "mailpush.yaml"), base)
	w.refuse(errors.New("the certificate does not fit its key"))
	w.write(base + "log: {level: debug}\n")
	w.awaitLog(`error="the certificate does not fit its key"`)
	w.expect(1, 0, 0)
	if w.level.Level() != slog.LevelInfo || w.in() != nil {
		t.Error("part of it was taken")
	}
	w.refuse(nil)
	w.hangups <- syscall.SIGHUP
	w.expect(2, 1, 0)
}

func TestASettingThatTakesARestartIsNamed(t *testing.T) {
	t.Parallel()
	w := start(t, filepath.Join(t.TempDir(), "mailpush.yaml"), base)
	w.write(base + "cluster: {leaseTTL: 9s}\nlog: {level: debug}\n")
	w.awaitLog(`level=WARN msg="a setting has changed that takes a restart; what it was at the start stays in force" setting=cluster.leaseTTL`)
	w.expect(2, 1, 1)
	w.write(base + "cluster: {leaseTTL: 9s}\n")
	w.expect(3, 1, 1)
	if n := strings.Count(w.log(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, w.log())
	}
	w.write(base) // as it was at the start
	w.expect(4, 1, 0)
}

// The name of a file stays the same, and what is in it does not.
func TestAFileThatIsNamedIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	write := func(text string) {
		t.Helper()
		beside := password + ".new"
		if err := errors.Join(os.WriteFile(beside, []byte(text), 0o600), os.Rename(beside, password)); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	w := start(t, filepath.Join(dir, "mailpush.yaml"), strings.Replace(base, "password: one", "passwordFile: '"+password+"'", 1))
	write("two\n")
	w.awaitLog("changed=worker.notify.passwordFile")
	w.expect(2, 1, 0)

	// A file that settings name which are not taken is waited for.
	w.refuse(errors.New("it is not there"))
	later := filepath.Join(dir, "later")
	w.write(strings.Replace(base, "password: one", "passwordFile: '"+later+"'", 1))
	w.awaitLog("it is not there")
	w.refuse(nil)
	password = later
	write("three\n")
	w.await("the file", func() bool { return w.in() != nil && w.in().Worker.Notify.PasswordFile == later })
	w.expect(3, 1, 0)
}

// Kubernetes turns a symlink of the directory in which all files are.
func TestASymlinkThatIsTurnedIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay := func(version, level string) {
		t.Helper()
		err := errors.Join(
			os.Mkdir(filepath.Join(dir, version), 0o700),
			os.WriteFile(filepath.Join(dir, version, "mailpush.yaml"), []byte(base+"log: {level: "+level+"}\n"), 0o600),
			os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	lay("..1", "info")
	path := filepath.Join(dir, "mailpush.yaml")
	if err := os.Symlink("..data/mailpush.yaml", path); err != nil {
		t.Fatal(err)
	}
	w := start(t, path, "")
	lay("..2", "warn")
	w.expect(2, 1, 0)
	if w.level.Level() != slog.LevelWarn {
		t.Errorf("level %s", w.level.Level())
	}
}

// SIGHUP is answered, also where there is nothing new.
func TestAnAskedForReadingIsSpokenOf(t *testing.T) {
	t.Parallel()
	w := start(t, filepath.Join(t.TempDir(), "mailpush.yaml"), base)
	w.hangups <- syscall.SIGHUP
	w.awaitLog(`level=INFO msg="the configuration was read again" why=SIGHUP changed=""`)
	w.expect(1, 1, 0)
	if w.in() == nil {
		t.Error("nothing was taken")
	}
}
