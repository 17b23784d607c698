// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
)

// PublicJSON makes a handler's JSON fit for people who read and write it by hand. An
// answer has all its fields, false, 0 and empty ones, too; left out is only what is
// optional or a message. A request that says what does not exist, a field or the name
// of an enum's value, is refused by its name: Connect's own codec passes it over, and
// the caller gets a default instead of what was asked for. What protojson takes is taken
// as protojson takes it; what it refuses is looked at once more, see [mend].
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
	if protojson.Unmarshal(data, m) == nil {
		return nil
	}
	mended, err := mend(data, m.ProtoReflect().Descriptor())
	if err == nil {
		err = plain(protojson.Unmarshal(mended, m))
	}
	if err != nil {
		setUnread(m, err)
	}
	return nil
}

// unreadField is where a message that could not be read carries why to fieldErrors.
// Connect answers itself what a codec returns as an error: with words of its own in front,
// past all interceptors, so that nothing counts it or gives it the id of its call. The
// number is one of those that no .proto file may use.
const unreadField protowire.Number = 19000

func setUnread(m proto.Message, why error) {
	proto.Reset(m)
	raw := protowire.AppendTag(nil, unreadField, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendString(raw, why.Error()))
}

// unread is why a message could not be read; nil when it could.
func unread(m proto.Message) error {
	raw := m.ProtoReflect().GetUnknown()
	number, kind, n := protowire.ConsumeTag(raw)
	if n < 0 || number != unreadField || kind != protowire.BytesType {
		return nil
	}
	why, _ := protowire.ConsumeBytes(raw[n:])
	return fault.New(fault.Invalid, "%s", why)
}
