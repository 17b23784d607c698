// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"mailpush.internal/pkg/fault"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
)

// check tells whether a credential may be stored. The same rule holds when it is
// opened: what the operator has switched off since is not handed out any more.
func (r Rules) check(c *vaultv1.Credential) error {
	switch c.GetKind().(type) {
	case *vaultv1.Credential_Password:
		if !r.StorePasswords {
			return fault.New(fault.Precondition, "passwords are not stored here (push.credstorage.enabled is false)")
		}
	case *vaultv1.Credential_Master:
		if r.MasterUser == "" {
			return fault.New(fault.Precondition, "no master user is configured (mail.passwordSource is not global)")
		}
	case *vaultv1.Credential_SigningSecret, *vaultv1.Credential_Headers:
	default:
		return fault.Field("credential", "its kind is not known here")
	}
	return nil
}

// reveal turns what was stored into what a worker needs.
func (r Rules) reveal(c *vaultv1.Credential, version uint64) (*vaultv1.OpenResponse, error) {
	if err := r.check(c); err != nil {
		return nil, err
	}
	opened := &vaultv1.OpenResponse{Version: version}
	switch kind := c.GetKind().(type) {
	case *vaultv1.Credential_Password:
		opened.Kind = &vaultv1.OpenResponse_Login{Login: &vaultv1.Login{
			Username: kind.Password.GetLogin(),
			Password: kind.Password.GetPassword(),
		}}
	case *vaultv1.Credential_Master:
		opened.Kind = &vaultv1.OpenResponse_Login{Login: &vaultv1.Login{
			AuthorizationId: kind.Master.GetLogin(),
			Username:        r.MasterUser,
			Password:        r.MasterPassword.Reveal(),
		}}
	case *vaultv1.Credential_SigningSecret:
		opened.Kind = &vaultv1.OpenResponse_SigningSecret{SigningSecret: kind.SigningSecret}
	case *vaultv1.Credential_Headers:
		opened.Kind = &vaultv1.OpenResponse_Headers{Headers: kind.Headers}
	}
	return opened, nil
}
