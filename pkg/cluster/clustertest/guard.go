// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// The user that Guard makes.
const (
	User     = "mailpush"
	Password = "sesame"
)

// Guard switches authentication on: root may do everything, User what is below the
// prefix.
func (r *Raw) Guard(ctx context.Context, prefix string) error {
	for _, step := range []func() error{
		func() error { _, err := r.etcd.RoleAdd(ctx, "root"); return err },
		func() error { _, err := r.etcd.UserAdd(ctx, "root", rootPassword); return err },
		func() error { _, err := r.etcd.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := r.etcd.RoleAdd(ctx, User); return err },
		func() error { return r.Permit(ctx, prefix) },
		func() error { _, err := r.etcd.UserAdd(ctx, User, Password); return err },
		func() error { _, err := r.etcd.UserGrantRole(ctx, User, User); return err },
		func() error { _, err := r.etcd.AuthEnable(ctx); return err },
		func() error { return r.becomeRoot() },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("switching authentication on: %w", err)
		}
	}
	return nil
}

// becomeRoot connects anew: what was connected before has no name.
func (r *Raw) becomeRoot() error {
	root, err := clientv3.New(clientv3.Config{
		Endpoints: []string{r.endpoint}, Username: "root", Password: rootPassword, Logger: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	_ = r.etcd.Close() // it holds nothing
	r.etcd = root
	return nil
}

// Permit lets User do everything below the prefix, and Forbid takes that back.
func (r *Raw) Permit(ctx context.Context, prefix string) error {
	_, err := r.etcd.RoleGrantPermission(ctx, User, prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"),
		clientv3.PermissionType(clientv3.PermReadWrite))
	return err
}

// Forbid takes back what Permit allows.
func (r *Raw) Forbid(ctx context.Context, prefix string) error {
	_, err := r.etcd.RoleRevokePermission(ctx, User, prefix+"/", clientv3.GetPrefixRangeEnd(prefix+"/"))
	return err
}

// SetPassword changes User's password; all that is logged in has to log in again.
func (r *Raw) SetPassword(ctx context.Context, password string) error {
	_, err := r.etcd.UserChangePassword(ctx, User, password)
	return err
}
