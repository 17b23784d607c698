// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"google.golang.org/protobuf/proto"

	"mailpush.internal/pkg/fault"
	clusterv1 "mailpush.internal/proto/gen/mailpush/cluster/v1"
	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
)

// format is the version of the key layout and of the messages in it.
const format = 1

// versioned is each message stored in etcd.
type versioned interface {
	proto.Message
	GetFormat() uint32
}

// decode reads the value of key into a message. Its error is of kind DataLoss and
// names the key.
func decode(key string, value []byte, into versioned) error {
	if err := proto.Unmarshal(value, into); err != nil {
		return fault.Wrap(fault.DataLoss, err, "key %s: the value is not mailpush's", key)
	}
	switch version := into.GetFormat(); {
	case version == 0:
		return fault.New(fault.DataLoss, "key %s: the value is not mailpush's: it has no format version", key)
	case version > format:
		return fault.New(fault.DataLoss, "key %s: the value has format %d, this program knows formats up to %d", key, version, format)
	}
	return nil
}

func decodeWorker(key, id string, value []byte) (*clusterv1.Worker, error) {
	out := new(clusterv1.Worker)
	if err := decode(key, value, out); err != nil {
		return nil, err
	}
	if out.GetId() != id {
		return nil, fault.New(fault.DataLoss, "key %s: the value belongs to worker %q", key, out.GetId())
	}
	return out, nil
}

func decodeWant(key string, value []byte) (*clusterv1.Want, error) {
	out := new(clusterv1.Want)
	if err := decode(key, value, out); err != nil {
		return nil, err
	}
	for _, set := range out.GetGranted() {
		if err := checkSet(key, set); err != nil {
			return nil, err
		}
	}
	for _, revocation := range out.GetRevoked() {
		if err := checkSet(key, revocation.GetShards()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeHave(key string, value []byte) (*clusterv1.Have, error) {
	out := new(clusterv1.Have)
	if err := decode(key, value, out); err != nil {
		return nil, err
	}
	for _, set := range out.GetHeld() {
		if err := checkSet(key, set); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkSet holds what readers of a ShardSet rely on.
func checkSet(key string, set *mailv1.ShardSet) error {
	if shards, epochs := len(set.GetShards()), len(set.GetEpochs()); shards != epochs {
		return fault.New(fault.DataLoss, "key %s: %d shards with %d epochs", key, shards, epochs)
	}
	return nil
}

// encode is the value to store. Marshalling a valid message cannot fail.
func encode(message versioned) (string, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "encoding a value for etcd")
	}
	return string(value), nil
}
