// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mailpush.internal/pkg/userid"
	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	registryv1 "mailpush.internal/proto/gen/mailpush/registry/v1"
	schedulerv1 "mailpush.internal/proto/gen/mailpush/scheduler/v1"
	vaultv1 "mailpush.internal/proto/gen/mailpush/vault/v1"
	workerv1 "mailpush.internal/proto/gen/mailpush/worker/v1"
)

// What is an id in one request is one in all of them.
func TestEveryRequestHasTheSameIDs(t *testing.T) {
	t.Parallel()
	found := 0
	for _, file := range []protoreflect.FileDescriptor{
		adminv1.File_mailpush_admin_v1_admin_proto, mailv1.File_mailpush_mail_v1_mail_proto, pushv1.File_mailpush_push_v1_push_proto,
		registryv1.File_mailpush_registry_v1_registry_proto, schedulerv1.File_mailpush_scheduler_v1_scheduler_proto,
		vaultv1.File_mailpush_vault_v1_vault_proto, workerv1.File_mailpush_worker_v1_worker_proto,
	} {
		messages := file.Messages()
		for i := range messages.Len() {
			message := messages.Get(i)
			if !strings.HasSuffix(string(message.Name()), "Request") && message.FullName() != "mailpush.mail.v1.User" {
				continue // an answer has what was a request before
			}
			for _, name := range []protoreflect.Name{"context_id", "user_id"} {
				field := message.Fields().ByName(name)
				if field == nil {
					continue
				}
				found++
				rules, err := protovalidate.ResolveFieldRules(field)
				if err != nil {
					t.Fatal(err)
				}
				pattern := rules.GetString().GetPattern()
				if pattern != userid.Pattern && pattern != userid.Filter {
					t.Errorf("%s: the pattern is %q, want %q, or %q where it may be left out", field.FullName(), pattern, userid.Pattern, userid.Filter)
				}
			}
		}
	}
	if found < 14 {
		t.Errorf("only %d ids were found", found)
	}
}
