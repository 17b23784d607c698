// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package openapi_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
	"mailpush.internal/proto/gen/openapi"
)

const (
	metaSchema = "testdata/oas-3.1-schema-2022-10-07.json"
	here       = "https://mailpush.internal/openapi.json"
)

// byKin is what kin-openapi says of a document.
func byKin(t *testing.T, document string) error {
	t.Helper()
	loaded, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		return err
	}
	return loaded.Validate(t.Context())
}

// bySchema holds a document against the schema of OpenAPI 3.1, and compiles each schema
// in it as JSON Schema 2020-12, as which OpenAPI 3.1 reads them.
func bySchema(t *testing.T, document string) (map[string]*jsonschema.Schema, error) {
	t.Helper()
	text, err := os.ReadFile(metaSchema)
	if err != nil {
		t.Fatal(err)
	}
	meta, err1 := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	whole, err2 := jsonschema.UnmarshalJSON(strings.NewReader(document))
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := errors.Join(err1, err2, compiler.AddResource(metaSchema, meta), compiler.AddResource(here, whole)); err != nil {
		return nil, err
	}
	if err := compiler.MustCompile(metaSchema).Validate(whole); err != nil {
		return nil, err
	}
	schemas := make(map[string]*jsonschema.Schema)
	top, _ := whole.(map[string]any) // what is not there the schema has found
	components, _ := top["components"].(map[string]any)
	all, _ := components["schemas"].(map[string]any)
	for name := range all {
		if schemas[name], err = compiler.Compile(here + "#/components/schemas/" + name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return schemas, nil
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	if err := byKin(t, openapi.Document()); err != nil {
		t.Errorf("kin-openapi: %v", err)
	}
	if _, err := bySchema(t, openapi.Document()); err != nil {
		t.Errorf("the schema of OpenAPI 3.1: %v", err)
	}
}

// Each validator finds what is wrong.
func TestValidatorsFindFaults(t *testing.T) {
	t.Parallel()
	for old, by := range map[string]string{
		`"info"`:                             `"infos"`,
		`"type": "boolean"`:                  `"type": "yes"`,
		`#/components/schemas/mail.v1.Mode"`: `#/components/schemas/mail.v1.Mood"`,
		`"responses": {`:                     `"responses": 7, "x": {`,
	} {
		broken := strings.ReplaceAll(openapi.Document(), old, by)
		if broken == openapi.Document() {
			t.Fatalf("there is no %s", old)
		}
		if byKin(t, broken) == nil {
			t.Errorf("kin-openapi takes %s", by)
		}
		if _, err := bySchema(t, broken); err == nil {
			t.Errorf("the schema takes %s", by)
		}
	}
}

// Every procedure is there, with what the contract says of it.
func TestDocumentHasTheContract(t *testing.T) {
	t.Parallel()
	document, err := openapi3.NewLoader().LoadFromData([]byte(openapi.Document()))
	if err != nil {
		t.Fatal(err)
	}
	procedures := 0
	for _, service := range []protoreflect.ServiceDescriptor{
		pushv1.File_mailpush_push_v1_push_proto.Services().ByName("PushService"),
		adminv1.File_mailpush_admin_v1_admin_proto.Services().ByName("AdminService"),
	} {
		for i := range service.Methods().Len() {
			path := fmt.Sprintf("/%s/%s", service.FullName(), service.Methods().Get(i).Name())
			procedures++
			if item := document.Paths.Value(path); item == nil || item.Post == nil || item.Post.Description == "" || item.Post.Summary == "" {
				t.Errorf("%s is missing, or not described", path)
			}
		}
	}
	if document.Paths.Len() != procedures {
		t.Errorf("%d paths of %d procedures", document.Paths.Len(), procedures)
	}
	for name, schema := range document.Components.Schemas {
		for field, property := range schema.Value.Properties {
			if name != "Error" && property.Value.Description == "" {
				t.Errorf("%s.%s is not described", name, field)
			}
		}
	}
}

// The schemas take what the services take, and refuse what they refuse.
func TestSchemasKnowRequests(t *testing.T) {
	t.Parallel()
	schemas, err := bySchema(t, openapi.Document())
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"contextId":"1","userId":"2","clientId":"c","topics":["mail:new"],"webhook":{"url":"https://h/"},"content":"CONTENT_IDS"}`
	for _, c := range []struct {
		name, old, by string
		valid         bool
	}{
		{"as it is", "", "", true},
		{"an unknown field", `"userId"`, `"user":"2","userId"`, false},
		{"nothing required", `"topics":["mail:new"],`, ``, false},
		{"another topic", `mail:new`, `mail:old`, false},
		{"an id with a space", `"2"`, `"2 2"`, false},
		{"no such value", `CONTENT_IDS`, `CONTENT_ALL`, false},
		{"an empty URL", `https://h/`, ``, false},
	} {
		request, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(good, c.old, c.by, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas["push.v1.SubscribeRequest"].Validate(request); (err == nil) != c.valid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
