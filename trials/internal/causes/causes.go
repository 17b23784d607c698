// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package causes does to a running mailpush, one after the other, everything that keeps a
// push from a user, and asks explain each time why there is none.
//
// Invariant: a cause is made for real, by what processes, mail stores and endpoints do, and
// counts as named when explain gives its code, and the words that an operator needs. An
// error is about the trial; what came of a cause is in its finding.
package causes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/proctest"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/trials/internal/rig"
)

const (
	tenant = "1"
	client = "causes"
	// settle is how long something may take that nothing hinders, on a busy machine.
	settle    = time.Minute
	pollEvery = 100 * time.Millisecond
	// callTime bounds one call: explain itself waits for whoever is silent.
	callTime = 30 * time.Second
)

// Options say what runs. All of them must be set.
type Options struct {
	Dir      string
	Programs rig.Programs
	Out      io.Writer // is told what is found
}

// Finding is what explain has made of a cause.
type Finding struct {
	Cause   string // in the words of an operator
	Code    string // that explain gave last
	Verdict string
	Named   bool // with the code and the words that were expected
}

// Named counts the causes that explain has named.
func Named(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Named {
			n++
		}
	}
	return n
}

// Run makes all causes and returns what came of them.
func Run(ctx context.Context, o Options) (findings []Finding, err error) {
	w := &world{Options: o, began: time.Now()}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{
		w.strangers, w.endpoints, w.folders, w.mailStores, w.policies, w.workers, w.vaults, w.etcdAway, w.registryDown,
	} {
		if err := part(ctx); err != nil {
			return w.findings, err
		}
	}
	return w.findings, nil
}

// expect asks explain about a user until it names what it should, for a minute at most.
func (w *world) expect(ctx context.Context, cause, user, code, words string) error {
	return w.expectAny(ctx, cause, []string{user}, code, words)
}

// expectAny does that for one of several users, of whom nobody can say whom it will be.
func (w *world) expectAny(ctx context.Context, cause string, users []string, code, words string) error {
	found := Finding{Cause: cause}
	err := await(ctx, cause, func(ctx context.Context) error {
		for _, user := range users {
			answer, err := w.explain(ctx, &adminv1.ExplainRequest{ContextId: tenant, UserId: user})
			if err != nil {
				return err
			}
			found.Code, found.Verdict = answer.GetCause(), answer.GetVerdict()
			if found.Named = found.Code == code && strings.Contains(found.Verdict, words) && answer.GetAdvice() != ""; found.Named {
				return nil
			}
		}
		return fmt.Errorf("%s: %s", found.Code, found.Verdict)
	})
	if ctx.Err() != nil {
		return err
	}
	verdict := "named"
	if !found.Named {
		verdict = fmt.Sprintf("NOT NAMED, want %s %q", code, words)
	}
	fmt.Fprintf(w.Out, "%5.1f s  %-34s %-22s %s: %s\n", time.Since(w.began).Seconds(), cause, found.Code, verdict, found.Verdict)
	w.findings = append(w.findings, found)
	return nil
}

// well waits until nothing stands in the way of pushes to users.
func (w *world) well(ctx context.Context, users ...string) error {
	for _, user := range users {
		err := await(ctx, "pushes to "+user, func(ctx context.Context) error {
			answer, err := w.explain(ctx, &adminv1.ExplainRequest{ContextId: tenant, UserId: user})
			if err == nil && answer.GetCause() != "" {
				err = errors.New(answer.GetVerdict())
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) explain(ctx context.Context, request *adminv1.ExplainRequest) (*adminv1.ExplainResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	answer, err := w.mailpush.Admin.Explain(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, fmt.Errorf("explaining: %w", err)
	}
	return answer.Msg, nil
}

// subscription is a user's at a mail store; what is not set is usual.
type subscription struct {
	user, store, url string
	client           string
	mode             mailv1.Mode
	master           bool // the master user opens the mailbox
}

// subscribe subscribes a user. Processes that have just been started may need a while before
// they take it.
func (w *world) subscribe(ctx context.Context, s subscription) (id string, err error) {
	request := &pushv1.SubscribeRequest{
		ContextId: tenant, UserId: s.user, ClientId: client, Topics: []string{"mail:new"}, Mode: s.mode,
		Account: &pushv1.Account{MailStore: s.store, Login: s.user, Password: rig.Password},
		Webhook: &pushv1.Webhook{Url: s.url + "/" + s.user},
	}
	if s.client != "" {
		request.ClientId = s.client
	}
	if s.master {
		request.Account.Password = ""
	}
	err = await(ctx, "the subscription of "+s.user, func(ctx context.Context) error {
		answer, err := w.mailpush.Push().Subscribe(ctx, connect.NewRequest(request))
		if err == nil && !answer.Msg.GetPermanent() {
			err = errors.New(answer.Msg.GetReason())
		}
		if err == nil {
			id = answer.Msg.GetSubscriptionId()
		}
		return err
	})
	return id, err
}

// await repeats check until it returns nil.
func await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	var last time.Time
	var err error
	return proctest.Await(ctx, what, func(ctx context.Context) error {
		if time.Since(last) >= pollEvery {
			err = check(ctx)
			last = time.Now()
		}
		return err
	})
}

// writeFile writes a file of the trial's and returns where it is.
func (w *world) writeFile(name string, text []byte) (string, error) {
	path := filepath.Join(w.Dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// closer ends something, in any state.
type closer func() error

// close ends everything, the youngest first.
func (w *world) close() error {
	var errs []error
	for _, end := range slices.Backward(w.closers) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
