// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package worker_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	hash "mailpush.internal/pkg/shard"
	"mailpush.internal/pkg/userid"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	"mailpush.internal/proto/gen/mailpush/vault/v1/vaultv1connect"
)

// fakeRegistry keeps the registry's promises in memory, one mailbox a page.
type fakeRegistry struct {
	registryv1connect.UnimplementedRegistryServiceHandler

	mu        sync.Mutex
	stores    []*mailv1.MailStore
	mailboxes map[string]*registryv1.Mailbox // by user@context
	epochs    map[uint32]uint64
	suspended chan *registryv1.SuspendCredentialRequest
	committed chan *registryv1.SubscriptionCursor
	reported  chan *registryv1.EndpointReport
	outage    bool
	asked     int // calls of OpenEpoch
	logins    map[string]*mailv1.User

	installation string
}

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{
		mailboxes: make(map[string]*registryv1.Mailbox),
		epochs:    make(map[uint32]uint64),
		suspended: make(chan *registryv1.SuspendCredentialRequest, 16),
		committed: make(chan *registryv1.SubscriptionCursor, 256),
		reported:  make(chan *registryv1.EndpointReport, 256),
	}
}

func (r *fakeRegistry) lock() (func(), error) {
	r.mu.Lock()
	if r.outage {
		r.mu.Unlock()
		return nil, fault.New(fault.Unavailable, "the database cannot be reached")
	}
	return r.mu.Unlock, nil
}

func (r *fakeRegistry) GetInstallation(
	context.Context, *connect.Request[registryv1.GetInstallationRequest],
) (*connect.Response[registryv1.GetInstallationResponse], error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return connect.NewResponse(&registryv1.GetInstallationResponse{InstallationId: r.installation}), nil
}

func (r *fakeRegistry) OpenEpoch(
	_ context.Context, request *connect.Request[registryv1.OpenEpochRequest],
) (*connect.Response[registryv1.OpenEpochResponse], error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r.asked++
	response := &registryv1.OpenEpochResponse{}
	for _, claim := range request.Msg.GetClaims() {
		if claim.GetEpoch() < r.epochs[claim.GetShard()] {
			response.Refused = append(response.Refused, claim)
			continue
		}
		r.epochs[claim.GetShard()] = claim.GetEpoch()
	}
	return connect.NewResponse(response), nil
}

func (r *fakeRegistry) ListShard(
	_ context.Context, request *connect.Request[registryv1.ListShardRequest],
) (*connect.Response[registryv1.ListShardResponse], error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	asked := make(map[uint32]bool)
	response := &registryv1.ListShardResponse{Stores: r.stores}
	for _, claim := range request.Msg.GetClaims() {
		if claim.GetEpoch() < r.epochs[claim.GetShard()] {
			response.Refused = append(response.Refused, claim)
			continue
		}
		asked[claim.GetShard()] = true
	}
	for _, key := range slices.Sorted(maps.Keys(r.mailboxes)) {
		mailbox := r.mailboxes[key]
		if key <= request.Msg.GetPageToken() || !asked[shardOf(mailbox.GetUser())] ||
			mailbox.GetCredentialSlot() != 0 && !request.Msg.GetKnowsSlots() {
			continue
		}
		if len(response.GetMailboxes()) == 1 {
			response.NextPageToken = keyOf(response.GetMailboxes()[0].GetUser())
			break
		}
		response.Mailboxes = append(response.Mailboxes, proto.CloneOf(mailbox))
	}
	return connect.NewResponse(response), nil
}

func (r *fakeRegistry) CommitCursors(
	_ context.Context, request *connect.Request[registryv1.CommitCursorsRequest],
) (*connect.Response[registryv1.CommitCursorsResponse], error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	response := &registryv1.CommitCursorsResponse{}
	for _, group := range request.Msg.GetShards() {
		if group.GetClaim().GetEpoch() != r.epochs[group.GetClaim().GetShard()] {
			response.Refused = append(response.Refused, group.GetClaim())
			continue
		}
		for _, row := range group.GetCursors() {
			r.store(row)
			r.committed <- row
		}
	}
	return connect.NewResponse(response), nil
}

// store keeps a cursor, but none that goes back without saying so.
func (r *fakeRegistry) store(row *registryv1.SubscriptionCursor) {
	next := row.GetCursor()
	for _, mailbox := range r.mailboxes {
		for _, subscription := range mailbox.GetSubscriptions() {
			back := slices.ContainsFunc(subscription.GetCursors(), func(old *mailv1.Cursor) bool {
				return old.GetUidValidity() == next.GetUidValidity() && old.GetUid() > next.GetUid()
			})
			if subscription.GetId() == row.GetSubscriptionId() && (row.GetRewind() || !back) {
				subscription.Cursors = []*mailv1.Cursor{next}
			}
		}
	}
}

// ReportEndpoints keeps every subscription.
func (r *fakeRegistry) ReportEndpoints(
	_ context.Context, request *connect.Request[registryv1.ReportEndpointsRequest],
) (*connect.Response[registryv1.ReportEndpointsResponse], error) {
	response := &registryv1.ReportEndpointsResponse{}
	for _, report := range request.Msg.GetReports() {
		r.reported <- report
		response.Verdicts = append(response.Verdicts, registryv1.EndpointVerdict_ENDPOINT_VERDICT_KEPT)
	}
	return connect.NewResponse(response), nil
}

func (r *fakeRegistry) SuspendCredential(
	_ context.Context, request *connect.Request[registryv1.SuspendCredentialRequest],
) (*connect.Response[registryv1.SuspendCredentialResponse], error) {
	r.suspended <- request.Msg
	return connect.NewResponse(&registryv1.SuspendCredentialResponse{}), nil
}

// put registers a mailbox; without subscriptions it removes it.
func (r *fakeRegistry) put(user *mailv1.User, store string, subscriptions ...*registryv1.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(subscriptions) == 0 {
		delete(r.mailboxes, keyOf(user))
		return
	}
	r.mailboxes[keyOf(user)] = &registryv1.Mailbox{
		User: user, MailStore: store, Permanent: true, CredentialVersion: 1, Subscriptions: subscriptions,
	}
}

// inSlot puts a user's login into a slot.
func (r *fakeRegistry) inSlot(user *mailv1.User, slot uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mailboxes[keyOf(user)].CredentialSlot = slot
}

// questions is how often an epoch was opened, or asked for.
func (r *fakeRegistry) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *fakeRegistry) setOutage(outage bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outage = outage
}

func keyOf(user *mailv1.User) string { return user.GetUserId() + "@" + user.GetContextId() }

func shardOf(user *mailv1.User) uint32 {
	return hash.Of(user.GetContextId(), user.GetUserId(), shards)
}

// touch tells the owner of a user's shard that the registry has something else of the user.
func (w *world) touch(user *mailv1.User) {
	w.t.Helper()
	at := hash.ID{Backend: "imapidle", Number: shardOf(user)}
	change := hash.ChangeOf(userid.User{Context: user.GetContextId(), ID: user.GetUserId()})
	if err := w.cluster.Touch(w.t.Context(), at, change); err != nil {
		w.t.Fatal(err)
	}
}

// fakeVault opens every credential: a login is the user's id with the password secret,
// in slot 9 with another one. Outside of context 1 the context is the domain of the login.
type fakeVault struct {
	vaultv1connect.UnimplementedVaultServiceHandler
}

const (
	password   = "secret"
	password9  = "secret of slot 9"
	signingKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	nextKey    = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" // in slot 1
)

func (fakeVault) Open(
	_ context.Context, request *connect.Request[vaultv1.OpenRequest],
) (*connect.Response[vaultv1.OpenResponse], error) {
	response := &vaultv1.OpenResponse{Version: 1}
	if given := map[string]string{"mail": password, "mail/9": password9}[request.Msg.GetAccount()]; given != "" {
		username := request.Msg.GetUser().GetUserId()
		if domain := request.Msg.GetUser().GetContextId(); domain != "1" {
			username += "@" + domain
		}
		response.Kind = &vaultv1.OpenResponse_Login{Login: &vaultv1.Login{Username: username, Password: given}}
		return connect.NewResponse(response), nil
	}
	key := signingKey
	if strings.HasSuffix(request.Msg.GetAccount(), "/1") {
		key = nextKey
	}
	response.Kind = &vaultv1.OpenResponse_SigningSecret{SigningSecret: &vaultv1.SigningSecret{Secret: key}}
	return connect.NewResponse(response), nil
}

// serveRPC serves a fake of a service over mutual TLS, open to workers only.
func serveRPC(t *testing.T, authority *identity.Authority, name string, mount func(...connect.HandlerOption) (string, http.Handler)) string {
	t.Helper()
	id, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	listener := listenTCP(t)
	mux := http.NewServeMux()
	mux.Handle(mount(rpc.HandlerOptions(discard(), rpc.MaxInternalBytes, onlyWorkers{})...))
	background(t, func(ctx context.Context) error {
		return service.Serve(ctx, discard(), name, listener, id.ServerTLS(), identity.Middleware(mux))
	})
	return listener.Addr().String()
}

type onlyWorkers struct{}

func (onlyWorkers) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if identity.Caller(ctx) != identity.Worker {
			return nil, connect.NewError(connect.CodePermissionDenied, errors.New("not a worker"))
		}
		return next(ctx, request)
	}
}

func (onlyWorkers) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (onlyWorkers) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
