// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// PublicJSON makes a handler's JSON fit for people who read and write it by hand. An
// answer has all its fields, false, 0 and empty ones, too; left out is only what is
// optional or a message. A request that says what does not exist, a field or the name
// of an enum's value, is refused by its name: Connect's own codec passes it over, and
// the caller gets a default instead of what was asked for.
func PublicJSON() connect.HandlerOption {
	// The names are those of the codecs that Connect has for JSON.
	return connect.WithHandlerOptions(connect.WithCodec(publicJSON{"json"}), connect.WithCodec(publicJSON{"json; charset=utf-8"}))
}

type publicJSON struct{ name string }

// Name implements [connect.Codec].
func (c publicJSON) Name() string { return c.name }

// Marshal implements [connect.Codec].
func (publicJSON) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no proto.Message", message)
	}
	return protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
}

// Unmarshal implements [connect.Codec].
func (publicJSON) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no proto.Message", message)
	}
	return protojson.Unmarshal(data, m)
}
