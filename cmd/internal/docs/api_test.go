// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

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

// call is one call in a transcript: `$ call push.v1.PushService/Subscribe '{...}'`.
type call struct{ service, method, body string }

// calls are those of the page. What a shell puts into a body is any text.
func calls(page string) []call {
	var found []call
	pattern := regexp.MustCompile(`(?s)\$ call ([A-Za-z0-9.]+)/([A-Za-z]+) '(\{.*?\})'\n`)
	shell := regexp.MustCompile(`'\$\([^)]*\)'`)
	for _, match := range pattern.FindAllStringSubmatch(page, -1) {
		found = append(found, call{match[1], match[2], shell.ReplaceAllString(match[3], "text")})
	}
	return found
}

// Each request of the page is one that the service reads. Those that are there to show
// an error are shortened, and passed over.
func TestExampleCallsFitTheContract(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, c := range calls(read(t, apiPage)) {
		if strings.Contains(c.body, "...") || c.method == "Watch" {
			continue
		}
		if err := fits(c); err != nil {
			t.Errorf("%s: %v", apiPage, err)
		}
		checked++
	}
	if checked < 5 {
		t.Errorf("only %d calls found in %s", checked, apiPage)
	}
	for _, bad := range calls("$ call push.v1.PushService/None '{}'\n$ call admin.v1.AdminService/Explain '{\"user\": \"1\"}'\n") {
		if fits(bad) == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

// fits tells what is wrong with a call.
func fits(c call) error {
	for _, service := range services() {
		method := service.Methods().ByName(protoreflect.Name(c.method))
		if string(service.FullName()) != "mailpush."+c.service || method == nil {
			continue
		}
		if err := protojson.Unmarshal([]byte(c.body), dynamicpb.NewMessage(method.Input())); err != nil {
			return fmt.Errorf("the request of %s: %w", c.method, err)
		}
		return nil
	}
	return fmt.Errorf("there is no procedure %s/%s", c.service, c.method)
}
