// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"

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
	workers       adminv1.ListWorkersResponse
	explanation   adminv1.ExplainResponse
	refusal       string // the Connect code that every call is refused with
	hang          bool   // no call is ever answered
	samePage      bool   // each page of push users points at itself
}

const fakePageSize = 2

// newFakeAdmin reads the messages of a script's JSON file, each under its name.
func newFakeAdmin(text []byte) (*fakeAdmin, error) {
	f := &fakeAdmin{}
	var parts struct {
		PushUsers, Registrations, Workers, Explain json.RawMessage
		Refuse                                     string
		Hang, SamePage                             bool
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	f.refusal, f.hang, f.samePage = parts.Refuse, parts.Hang, parts.SamePage
	for _, part := range []struct {
		text json.RawMessage
		into proto.Message
	}{
		{parts.PushUsers, &f.users}, {parts.Registrations, &f.registrations},
		{parts.Workers, &f.workers}, {parts.Explain, &f.explanation},
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
				return nil, connect.NewError(code, fmt.Errorf("the server says %s", f.refusal))
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
	if r.Msg.GetUserId() != "249" || r.Msg.GetContextId() != "1" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such user"))
	}
	return connect.NewResponse(&f.explanation), nil
}

func (f *fakeAdmin) ListWorkers(
	context.Context, *connect.Request[adminv1.ListWorkersRequest],
) (*connect.Response[adminv1.ListWorkersResponse], error) {
	return connect.NewResponse(&f.workers), nil
}
