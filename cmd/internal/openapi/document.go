// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
)

// object is a JSON object; its keys are written in order.
type object map[string]any

// document is an OpenAPI 3.1 document that is being made.
type document struct {
	tags           []object
	paths, schemas object
}

func newDocument() *document {
	return &document{paths: object{}, schemas: object{"Error": errorSchema()}}
}

const about = `mailpush tells clients "you have new mail" without the client being connected. Each procedure is ` +
	`an HTTP POST of a JSON object; the same address speaks Connect, gRPC and gRPC-Web. Answers have all their ` +
	`fields, but for optional ones and for times that there are none of. A request with a field that does not exist ` +
	`is an error; the names of enums' values may lack the prefix that all of an enum have.`

// object is the whole document.
func (d *document) object() object {
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": "mailpush", "version": "v1", "description": about, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers":    []object{{"url": "/"}},
		"tags":       d.tags,
		"paths":      d.paths,
		"components": object{"schemas": d.schemas, "securitySchemes": schemes(), "responses": object{"Error": errorResponse()}},
	}
}

func schemes() object {
	return object{
		"administrator": object{"type": "http", "scheme": "basic", "description": "The name and password of an administrator."},
		"application":   object{"type": "http", "scheme": "bearer", "description": "The token of an application: PushService, within the contexts of the token."},
	}
}

// service adds the procedures of a service.
func (d *document) service(s *protogen.Service) {
	d.tags = append(d.tags, object{"name": string(s.Desc.Name()), "description": text(s.Comments.Leading)})
	callers := []object{{"administrator": []string{}}, {"application": []string{}}}
	if s.Desc.Name() == "AdminService" {
		callers = callers[:1]
	}
	for _, m := range s.Methods {
		description := text(m.Comments.Leading)
		summary, _, _ := strings.Cut(strings.Split(description, "\n")[0], ". ")
		d.paths["/"+string(s.Desc.FullName())+"/"+string(m.Desc.Name())] = object{"post": object{
			"operationId": string(s.Desc.Name()) + "_" + string(m.Desc.Name()),
			"tags":        []string{string(s.Desc.Name())},
			"summary":     strings.TrimSuffix(summary, "."),
			"description": description,
			"security":    callers,
			"requestBody": object{"required": true, "content": inJSON(d.message(m.Input, true))},
			"responses": object{
				"200":     object{"description": text(m.Output.Comments.Leading), "headers": headers("X-Request-Id"), "content": inJSON(d.message(m.Output, false))},
				"default": object{"$ref": "#/components/responses/Error"},
			},
		}}
	}
}

func inJSON(schema object) object { return object{"application/json": object{"schema": schema}} }

// text is a comment of the contract: paragraphs of one line each.
func text(c protogen.Comments) string {
	var out strings.Builder
	for line := range strings.Lines(string(c)) {
		switch line = strings.TrimSpace(line); {
		case line == "":
			out.WriteString("\n\n")
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "\n"):
			out.WriteString(" " + line)
		default:
			out.WriteString(line)
		}
	}
	return strings.TrimSpace(out.String())
}

func headers(names ...string) object {
	known := map[string]object{
		"X-Request-Id": {"description": "The id of the call, as the request had it or made here; logs have it, too.", "schema": object{"type": "string"}},
		"Retry-After":  {"description": "With 429: after how many seconds to try again.", "schema": object{"type": "integer"}},
	}
	out := object{}
	for _, name := range names {
		out[name] = known[name]
	}
	return out
}

func errorResponse() object {
	return object{
		"description": "An error of the Connect protocol; docs/api.md has the codes with their statuses.",
		"headers":     headers("X-Request-Id", "Retry-After"),
		"content":     inJSON(object{"$ref": "#/components/schemas/Error"}),
	}
}

// errorSchema is that of Connect's errors, https://connectrpc.com/docs/protocol#error-end-stream.
func errorSchema() object {
	word := func(description string) object { return object{"type": "string", "description": description} }
	return object{
		"type": "object", "required": []string{"code"},
		"properties": object{
			"code":    word("What kind of error it is, such as invalid_argument."),
			"message": word("What is wrong, for people; it names the fields that are."),
			"details": object{"type": "array", "items": object{
				"type": "object", "description": "A message; google.rpc.RequestInfo has the id of the call.",
				"properties": object{
					"type": word("The name of the message's type."), "value": word("The message, in base64 without padding."),
					"debug": object{"description": "The message, in JSON."},
				},
			}},
		},
	}
}
