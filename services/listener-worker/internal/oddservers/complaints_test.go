// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package oddservers_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"mailpush.internal/pkg/imaptest/odd"
)

// complaints are the lines a loop logs, which have a listener's every reason.
type complaints struct {
	mu      sync.Mutex
	lines   strings.Builder
	changed chan struct{} // closed and replaced with each line
}

func newComplaints() *complaints { return &complaints{changed: make(chan struct{})} }

func (c *complaints) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: onlyReasons}))
}

// onlyReasons leaves out what every line has.
func onlyReasons(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, slog.LevelKey, slog.MessageKey, "context_id", "mail_store":
		return slog.Attr{}
	default:
		return a
	}
}

// Write implements [io.Writer] for the handler.
func (c *complaints) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
	return c.lines.Write(line)
}

func (c *complaints) since() (all string, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.String(), c.changed
}

// all is the end of what was logged.
func (c *complaints) all() string {
	const enough = 1500
	all, _ := c.since()
	return all[max(len(all)-enough, 0):]
}

// noSecret fails a test where the password was logged, in whatever form.
func (c *complaints) noSecret(t *testing.T) {
	t.Helper()
	all, _ := c.since()
	unquoted := strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(all)
	for _, form := range odd.Secrets() {
		if strings.Contains(all, form) || strings.Contains(unquoted, form) {
			t.Errorf("the log has the password as %q: %s", form, c.all())
		}
	}
}
