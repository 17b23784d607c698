// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// checks say of each transport whether the target of a request, and what is to sign the
// pushes, can be right.
func checks() map[registry.Transport]func(*Edge, Request) error {
	return map[registry.Transport]func(*Edge, Request) error{
		registry.Webhook: (*Edge).checkWebhook,
	}
}

// checkTarget refuses a target that can never be pushed to.
func (e *Edge) checkTarget(r Request) error {
	check, known := checks()[r.Target.Transport]
	if !known {
		return fault.New(fault.Invalid, "there is no transport %q", r.Target.Transport)
	}
	return check(e, r)
}

// checkWebhook leaves it open where the host points: that is looked at when it is
// dialled, for it may change.
func (e *Edge) checkWebhook(r Request) error {
	if err := endpoint.CheckURL(r.Target.Address, e.AllowHTTPWebhooks); err != nil {
		return fault.Field("webhook.url", "%s", err)
	}
	if err := checkSecret("webhook.secret", r.Scheme, r.Secret); err != nil {
		return err
	}
	return checkHeaders(r)
}
