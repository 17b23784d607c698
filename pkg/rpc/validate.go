// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
)

var errInternal = errors.New("internal error")

// Validate checks a message against the rules in its .proto file. The error is
// Invalid and names the wrong fields as JSON callers write them.
func Validate(message proto.Message) error {
	err := protovalidate.Validate(message)
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		if err != nil {
			return fmt.Errorf("validating a request: %w", err)
		}
		return nil
	}
	// One message a field: people mend one thing at a time, programs retry whole.
	texts := make([]string, 0, len(broken.Violations))
	for _, violation := range broken.Violations {
		text := violation.Proto.GetMessage()
		if violation.Proto.GetRuleId() == "enum.defined_only" {
			text = "must be one of " + strings.Join(choices(violation.FieldDescriptor.Enum()), ", ")
		} else if words, ok := idRule(violation); ok {
			text = words
		}
		// A rule of the whole message has no field: its text names what it is about.
		if field := jsonPath(protovalidate.FieldPathString(violation.Proto.GetField())); field != "" {
			text = field + ": " + text
		}
		texts = append(texts, text)
	}
	return fault.New(fault.Invalid, "%s", strings.Join(texts, "; "))
}

// jsonPath turns account.mail_store into account.mailStore.
func jsonPath(path string) string {
	var out strings.Builder
	upper := false
	for _, r := range path {
		switch {
		case r == '_':
			upper = true
		case upper:
			out.WriteString(strings.ToUpper(string(r)))
			upper = false
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// fieldErrors validates each request before its handler sees it.
type fieldErrors struct{}

// WrapUnary implements [connect.Interceptor].
func (fieldErrors) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		if message, ok := request.Any().(proto.Message); ok {
			if err := cmp.Or(unread(message), Validate(message)); err != nil {
				return nil, err
			}
		}
		return next(ctx, request)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (fieldErrors) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor]. No streaming call exists
// yet whose requests carry rules.
func (fieldErrors) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// detail is an error with its causes, for the log.
func detail(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.LogValue().String()
	}
	return err.Error()
}
