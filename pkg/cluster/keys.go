// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// layout is the prefix of a cluster, without a slash at its end. All keys are made
// and read here.
type layout string

func layoutOf(config Config) layout {
	return layout(strings.TrimRight(cmp.Or(config.Prefix, DefaultPrefix), "/"))
}

func (l layout) config() string            { return string(l) + "/cfg" }
func (l layout) leaders() string           { return string(l) + "/leader/" }
func (l layout) leader(lease int64) string { return l.leaders() + strconv.FormatInt(lease, 16) }
func (l layout) workers() string           { return string(l) + "/worker/" }
func (l layout) worker(id string) string   { return l.workers() + id }
func (l layout) wants() string             { return string(l) + "/want/" }
func (l layout) want(id string) string     { return l.wants() + id }
func (l layout) haves() string             { return string(l) + "/have/" }
func (l layout) have(id string) string     { return l.haves() + id }
func (l layout) changes() string           { return string(l) + "/changes/" }

func (l layout) changesOf(backend string) string { return l.changes() + backend + "/" }

func (l layout) change(backend string, shard uint32) string {
	return l.changesOf(backend) + strconv.FormatUint(uint64(shard), 10)
}

// shardOf reads the shard's number from a key below changes/<backend>/.
func (l layout) shardOf(key, backend string) (uint32, error) {
	text := strings.TrimPrefix(key, l.changesOf(backend))
	shard, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading key %s: %q is not a shard", key, text)
	}
	return uint32(shard), nil
}
