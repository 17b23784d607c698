// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"mailpush.internal/cmd/internal/allinone"
	"mailpush.internal/cmd/internal/reload"
	"mailpush.internal/cmd/internal/settings"
)

// reloads read the settings of a mailpush run again. SIGHUP waits until everything runs.
type reloads struct {
	loop    *reload.Loop
	hangups chan os.Signal
	running sync.WaitGroup
}

// newReloads notes what a mailpush run is started with, before that is completed, and gives
// it its log.
func newReloads(path string, load func() (*settings.Settings, error), o *stageOptions) *reloads {
	started := *o.settings
	demo := isDemo(&started)
	var level slog.LevelVar
	o.log = started.Log.Logger(&level)
	return &reloads{hangups: reload.Signals(), loop: reload.New(reload.Config{
		Log: o.log, Level: &level, Services: allinone.Services(), Path: path, Started: &started,
		Load: func() (*settings.Settings, error) {
			s, err := load()
			if err == nil && isDemo(s) != demo {
				err = errors.New("mail.stores: the demo has none of them, and a mailpush run is the one or the other until it is started again")
			}
			if err != nil {
				return nil, err
			}
			return s, checkRun(stageOptions{settings: s})
		},
	})}
}

// begin reads again what has changed, until ctx ends.
func (r *reloads) begin(ctx context.Context, node *allinone.Node) error {
	for _, registry := range node.Registries() {
		if err := r.loop.Register(registry); err != nil {
			return err
		}
	}
	stores := node.Settings().Mail.Stores
	of := reload.Process{
		Asks: []reload.Ask{func(s *settings.Settings) (func(), error) {
			if isDemo(s) {
				own := *s
				own.Mail.Stores, s = stores, &own
			}
			return node.Reload(s)
		}},
		Ends: func() map[string]time.Time { return reload.IdentityEnds(node.Identities()...) },
	}
	r.running.Go(func() { _ = r.loop.Run(ctx, r.hangups, of) }) // it ends with ctx, and in no other way
	return nil
}

// wait waits until nothing is read any more.
func (r *reloads) wait() { r.running.Wait() }
