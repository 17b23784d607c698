// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
)

// fakeAdmin is an AdminService that answers from what a test script says, two items a
// page, to administrator admin with password s3cret.
type fakeAdmin struct {
	users         adminv1.ListPushUsersResponse
	registrations adminv1.ListClientRegistrationsResponse
	mu            sync.Mutex
	workers       adminv1.ListWorkersResponse
	explanation   adminv1.ExplainResponse
	refusal       string // the Connect code that every call is refused with
	saying        string // and what it says, if not just that
	challenge     string // what it comes with as WWW-Authenticate
	hang          bool   // no call is ever answered
	samePage      bool   // each page of push users points at itself
	release       uint32 // how many shards a draining worker is relieved of between two lists
	then          string // what happens to a draining worker at the third list: leaves, undrained
	lists         int    // since a drain

	subscriptions adminv1.ListSubscriptionsResponse
	deadLetters   adminv1.ListDeadLettersResponse
	test          adminv1.TestSubscriptionResponse
	retry         adminv1.RetryResponse
	history       adminv1.ListHistoryResponse
	user          adminv1.User // the one there is
}

const fakePageSize = 2

// newFakeAdmin reads the messages of a script's JSON file, each under its name.
func newFakeAdmin(text []byte) (*fakeAdmin, error) {
	f := &fakeAdmin{}
	var parts struct {
		PushUsers, Registrations, Workers, Explain json.RawMessage
		Subscriptions, DeadLetters, Test, Retry    json.RawMessage
		History, User                              json.RawMessage
		Refuse, Say, Challenge, Then               string
		Hang, SamePage                             bool
		Release                                    uint32
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	f.refusal, f.saying = parts.Refuse, cmp.Or(parts.Say, "the server says "+parts.Refuse)
	f.challenge, f.hang, f.samePage, f.release, f.then = parts.Challenge, parts.Hang, parts.SamePage, parts.Release, parts.Then
	for _, part := range []struct {
		text json.RawMessage
		into proto.Message
	}{
		{parts.PushUsers, &f.users}, {parts.Registrations, &f.registrations},
		{parts.Workers, &f.workers}, {parts.Explain, &f.explanation},
		{parts.Subscriptions, &f.subscriptions}, {parts.DeadLetters, &f.deadLetters}, {parts.Test, &f.test}, {parts.Retry, &f.retry},
		{parts.History, &f.history}, {parts.User, &f.user},
	} {
		if part.text == nil {
			continue
		}
		if err := protojson.Unmarshal(part.text, part.into); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// serve starts the service, with TLS if told so.
func (f *fakeAdmin) serve(withTLS bool) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle(adminv1connect.NewAdminServiceHandler(f, connect.WithInterceptors(f.guard())))
	mux.HandleFunc("/elsewhere/", http.NotFound)
	mux.HandleFunc("/gateway/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	})
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
	})
	server := httptest.NewUnstartedServer(mux)
	// A client that does not trust the certificate is the point, not news.
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if withTLS {
		server.StartTLS()
	} else {
		server.Start()
	}
	return server
}

// guard authenticates, then refuses or hangs when the script says so.
func (f *fakeAdmin) guard() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			header := http.Request{Header: request.Header()}
			if user, password, ok := header.BasicAuth(); !ok || user != "admin" || password != "s3cret" {
				return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("wrong name or password"))
			}
			if f.hang {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if f.refusal != "" {
				var code connect.Code
				if err := code.UnmarshalText([]byte(f.refusal)); err != nil {
					return nil, err
				}
				refused := connect.NewError(code, errors.New(f.saying))
				refused.Meta().Set("X-Request-Id", "req_1")
				if f.challenge != "" {
					refused.Meta().Set("WWW-Authenticate", f.challenge)
				}
				return nil, refused
			}
			return next(ctx, request)
		}
	}
}

// page cuts the page that token asks for out of all, keeping those of one context.
func page[T interface{ GetContextId() string }](all []T, token, contextID string) (items []T, next string) {
	var wanted []T
	for _, item := range all {
		if contextID == "" || item.GetContextId() == contextID {
			wanted = append(wanted, item)
		}
	}
	start, _ := strconv.Atoi(token)
	end := min(start+fakePageSize, len(wanted))
	if end < len(wanted) {
		next = strconv.Itoa(end)
	}
	return wanted[start:end], next
}

func (f *fakeAdmin) ListPushUsers(
	_ context.Context, r *connect.Request[adminv1.ListPushUsersRequest],
) (*connect.Response[adminv1.ListPushUsersResponse], error) {
	if f.samePage {
		return connect.NewResponse(&adminv1.ListPushUsersResponse{NextPageToken: "again"}), nil
	}
	users, next := page(f.users.GetPushUsers(), r.Msg.GetPageToken(), r.Msg.GetContextId())
	return connect.NewResponse(&adminv1.ListPushUsersResponse{PushUsers: users, NextPageToken: next}), nil
}

func (f *fakeAdmin) ListClientRegistrations(
	_ context.Context, r *connect.Request[adminv1.ListClientRegistrationsRequest],
) (*connect.Response[adminv1.ListClientRegistrationsResponse], error) {
	registrations, next := page(f.registrations.GetRegistrations(), r.Msg.GetPageToken(), r.Msg.GetContextId())
	return connect.NewResponse(&adminv1.ListClientRegistrationsResponse{Registrations: registrations, NextPageToken: next}), nil
}

func (f *fakeAdmin) UnregisterClient(
	_ context.Context, r *connect.Request[adminv1.UnregisterClientRequest],
) (*connect.Response[adminv1.UnregisterClientResponse], error) {
	for _, known := range f.registrations.GetRegistrations() {
		if known.GetContextId() == r.Msg.GetContextId() && known.GetUserId() == r.Msg.GetUserId() && known.GetClientId() == r.Msg.GetClientId() {
			return connect.NewResponse(&adminv1.UnregisterClientResponse{}), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no such registration"))
}

func (f *fakeAdmin) Explain(
	_ context.Context, r *connect.Request[adminv1.ExplainRequest],
) (*connect.Response[adminv1.ExplainResponse], error) {
	if id := r.Msg.GetSubscriptionId(); id != "" {
		for _, s := range f.subscriptions.GetSubscriptions() {
			if s.GetSubscriptionId() == id {
				return connect.NewResponse(&f.explanation), nil
			}
		}
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such subscription"))
	}
	known := [][2]string{{"249", "1"}, {"anna@example.org", "1"}, {"a", "b@c"}}
	if !slices.Contains(known, [2]string{r.Msg.GetUserId(), r.Msg.GetContextId()}) {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such user"))
	}
	return connect.NewResponse(&f.explanation), nil
}

func (f *fakeAdmin) ListWorkers(
	context.Context, *connect.Request[adminv1.ListWorkersRequest],
) (*connect.Response[adminv1.ListWorkersResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := proto.CloneOf(&f.workers)
	f.lists++
	for i, w := range f.workers.GetWorkers() {
		if !w.GetDraining() {
			continue
		}
		w.Shards -= min(f.release, w.GetShards())
		if f.lists == 2 && f.then == "undrained" {
			w.Draining = false
		}
		if f.lists == 2 && f.then == "leaves" {
			f.workers.Workers = slices.Delete(f.workers.GetWorkers(), i, i+1)
			break
		}
	}
	return connect.NewResponse(answer), nil
}

func (f *fakeAdmin) DrainWorker(
	_ context.Context, r *connect.Request[adminv1.DrainWorkerRequest],
) (*connect.Response[adminv1.DrainWorkerResponse], error) {
	return connect.NewResponse(&adminv1.DrainWorkerResponse{}), f.setDraining(r.Msg.GetId(), true)
}

func (f *fakeAdmin) UndrainWorker(
	_ context.Context, r *connect.Request[adminv1.UndrainWorkerRequest],
) (*connect.Response[adminv1.UndrainWorkerResponse], error) {
	return connect.NewResponse(&adminv1.UndrainWorkerResponse{}), f.setDraining(r.Msg.GetId(), false)
}

func (f *fakeAdmin) setDraining(id string, draining bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists = 0
	for _, w := range f.workers.GetWorkers() {
		if w.GetId() == id {
			w.Draining = draining
			return nil
		}
	}
	return connect.NewError(connect.CodeNotFound, fmt.Errorf("no live worker has the id %q", id))
}
