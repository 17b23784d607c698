// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/rpc"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	"mailpush.internal/services/admin-api/internal/registry"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	got, err := decodeToken(encodeToken(registrationsToken, "key", "client"), registrationsToken, 2)
	if diff := cmp.Diff([]string{"key", "client"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	want := registry.Position{Cell: registry.Cells - 1, Key: "0110!03249"}
	if p, err := decodePosition(encodePosition(want)); err != nil || p != want {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := decodePosition(""); err != nil || p != (registry.Position{}) {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, bad := range []string{
		"!", "dQ", "dSA=", encodeToken(usersToken, "a", "b"), encodeToken(usersToken, "ä"),
		encodeToken(registrationsToken, "a"), encodeToken(shardToken, "-1", "a"), encodeToken(shardToken, "4294967295", "a"),
	} {
		_, err1 := decodeToken(bad, usersToken, 1)
		_, err2 := decodePosition(bad)
		for _, err := range []error{err1, err2} {
			if fault.KindOf(err) != fault.Invalid || err.Error() != "pageToken: is not the nextPageToken of an earlier page" {
				t.Errorf("token %q: %v", bad, err)
			}
		}
	}
}

// The longest token there is passes the rule of every request that takes one.
func TestTheLongestTokensAreTaken(t *testing.T) {
	t.Parallel()
	key, client := strings.Repeat("k", registry.MaxKey), strings.Repeat("c", 128)
	for _, m := range []proto.Message{
		&adminv1.ListPushUsersRequest{PageToken: encodeToken(usersToken, key)},
		&adminv1.ListClientRegistrationsRequest{PageToken: encodeToken(registrationsToken, key, client)},
		&adminv1.ListSubscriptionsRequest{PageToken: encodeToken(subscriptionsToken, key, client)},
		&registryv1.ListShardRequest{
			PageToken: encodePosition(registry.Position{Cell: registry.Cells - 1, Key: key}),
			Claims:    []*registryv1.Claim{{Backend: "imapidle", Epoch: 1}},
		},
	} {
		if err := rpc.Validate(m); err != nil {
			t.Errorf("%s: %v", m.ProtoReflect().Descriptor().Name(), err)
		}
	}
}

func FuzzDecodePosition(f *testing.F) {
	f.Add(encodePosition(registry.Position{Cell: 1, Key: "k"}))
	f.Fuzz(func(t *testing.T, token string) {
		p, err := decodePosition(token)
		if err == nil && p.Cell >= registry.Cells {
			t.Errorf("accepted %q as %+v", token, p)
		}
	})
}

func TestWithoutPath(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://h/services/token": "https://h/...", "https://h/?token=x": "https://h/...", "https://h?token": "https://h/...",
		"https://h:8443/p": "https://h:8443/...", "https://[::1]:80/p": "https://[::1]:80/...",
		"https://h": "https://h", "https://h/": "https://h/", "%": "",
	} {
		if got := withoutPath(raw); got != want {
			t.Errorf("%q: %q", raw, got)
		}
	}
}
