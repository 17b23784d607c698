// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package rpc serves admin-api's calls: PushService and AdminService to the public,
// RegistryService to workers and the scheduler. It translates and nothing else.
//
// It keeps these invariants: every public call but health passes
// authentication, every internal one the allow-list of services; whatever a caller
// sends is answered with a Connect error at worst, that says what to send, and each answer
// has the id of its call.
//
// What a message may hold is checked by the rules in the .proto files before a handler sees
// it, and errors become Connect codes in one place, behind the handlers, which return them
// as they are: a fault with its public text, anything else as internal, without its detail.
package rpc

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"
	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	"mailpush.internal/proto/gen/mailpush/admin/v1/adminv1connect"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	"mailpush.internal/services/admin-api/internal/auth"
	"mailpush.internal/services/admin-api/internal/edge"
)

// Public is what the public handler is made of.
type Public struct {
	Edge           *edge.Edge
	Auth           *auth.Authenticator
	Metrics        *Metrics
	Log            *slog.Logger
	AllowedOrigins []string
	Ready          func(context.Context) error
}

const (
	adminPrefix = "/" + adminv1connect.AdminServiceName + "/"
	// preflightTime is how long a browser may remember what CORS has told it.
	preflightTime = 2 * time.Hour
)

// Handler serves PushService, AdminService, their OpenAPI document, and health.
// A call gets an id and passes, in this order, CORS, the bound on size (on time, it is the
// port's: [service.Serve]),
// authentication, the table of procedures, and only then a decoder: a stranger's body is not
// read.
func (p Public) Handler() http.Handler {
	options := append(rpc.HandlerOptions(p.Log, rpc.MaxPublicBytes, p.Metrics.interceptor(), acting()), rpc.PublicJSON(),
		rpc.CompressLarge(), rpc.BoundedGzip(rpc.MaxPublicBytes, tooLarge))
	refusals := refusals{connect.NewErrorWriter(), p.Metrics.Refused}
	calls := http.NewServeMux()
	_, pushes := pushv1connect.NewPushServiceHandler(push{edge: p.Edge, metrics: p.Metrics, log: p.Log}, options...)
	mount(calls, pushv1.File_mailpush_push_v1_push_proto.Services().ByName("PushService"), pushes)
	_, admins := adminv1connect.NewAdminServiceHandler(admin{edge: p.Edge}, options...)
	mount(calls, adminv1.File_mailpush_admin_v1_admin_proto.Services().ByName("AdminService"), admins)
	calls.HandleFunc("/", refusals.unknown)

	mux := http.NewServeMux()
	service.MountHealth(mux, p.Ready, pushv1connect.PushServiceName, adminv1connect.AdminServiceName)
	mux.Handle("GET "+openAPIPath, openAPI())
	mux.Handle("/", p.Auth.Middleware(adminPrefix, p.Metrics.Refused, calls))
	return rpc.RequestIDs(p.cors(refusals.wordy(bounded(mux))))
}

// cors lets browsers call from the allowed origins; without any, from none. It is in front
// of authentication, for a preflight carries no credentials.
func (p Public) cors(next http.Handler) http.Handler {
	if len(p.AllowedOrigins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: p.AllowedOrigins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: append(connectcors.AllowedHeaders(), "Authorization", rpc.RequestIDHeader),
		ExposedHeaders: append(connectcors.ExposedHeaders(), rpc.RequestIDHeader, "Retry-After"),
		MaxAge:         int(preflightTime / time.Second),
	}).Handler(next)
}

// Internal is what the internal handler is made of.
type Internal struct {
	Edge    *edge.Edge
	Shards  edge.Shards
	Stores  map[string]*mailv1.MailStore
	Metrics *Metrics
	Log     *slog.Logger
	// Installation is which one the registry is of, and Policy tells one policy from the
	// next.
	Installation, Policy string
}

// Handler serves RegistryService to the services that may call it. The list is by procedure
// and denies by default: one that is added is nobody's until it stands here.
func (i Internal) Handler() http.Handler {
	worker := []string{identity.Worker}
	allow := identity.Allow(map[string][]string{
		registryv1connect.RegistryServiceGetInstallationProcedure:   {identity.Worker, identity.Scheduler},
		registryv1connect.RegistryServiceShardLoadsProcedure:        {identity.Scheduler},
		registryv1connect.RegistryServiceOpenEpochProcedure:         worker,
		registryv1connect.RegistryServiceListShardProcedure:         worker,
		registryv1connect.RegistryServiceCommitCursorsProcedure:     worker,
		registryv1connect.RegistryServiceReportEndpointsProcedure:   worker,
		registryv1connect.RegistryServiceSuspendCredentialProcedure: worker,
		registryv1connect.RegistryServiceFindUsersProcedure:         worker,
	})
	options := rpc.HandlerOptions(i.Log, rpc.MaxInternalBytes, i.Metrics.interceptor(), allow)
	mux := http.NewServeMux()
	handler := shards{edge: i.Edge, shards: i.Shards, stores: i.Stores, metrics: i.Metrics, log: i.Log, installation: i.Installation, policy: i.Policy}
	mux.Handle(registryv1connect.NewRegistryServiceHandler(handler, options...))
	return identity.Middleware(mux)
}
