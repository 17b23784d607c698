// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
)

const apiPage = "docs/api.md"

// services are those of the public API.
func services() []protoreflect.ServiceDescriptor {
	return []protoreflect.ServiceDescriptor{
		pushv1.File_mailpush_push_v1_push_proto.Services().ByName("PushService"),
		adminv1.File_mailpush_admin_v1_admin_proto.Services().ByName("AdminService"),
	}
}

// That the examples of the page do what it says is a test of the program that they call,
// in cmd/mailpush.
func TestEveryProcedureIsDocumented(t *testing.T) {
	t.Parallel()
	page := read(t, apiPage)
	for _, service := range services() {
		for i := range service.Methods().Len() {
			name := string(service.Methods().Get(i).Name())
			if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "Service/"+name+" ") {
				t.Errorf("%s does not have %s of %s", apiPage, name, service.Name())
			}
		}
	}
}
