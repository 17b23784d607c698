// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Kernel is the memory that the kernel of this machine uses for open sockets and for what
// they hold, in bytes. Where its caches are hidden, as they are from all but root, it is
// that of all its objects, whatever they are for.
func Kernel() (int64, error) {
	objects, err := objectBytes()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, fmt.Errorf("reading the memory of sockets: %w", err)
	}
	pages, err := socketPages(string(text))
	return objects + pages*int64(os.Getpagesize()), err
}

func objectBytes() (int64, error) {
	text, err := os.ReadFile("/proc/slabinfo")
	if err == nil {
		return socketObjects(string(text), int64(os.Getpagesize()))
	}
	if text, err = os.ReadFile("/proc/meminfo"); err != nil {
		return 0, fmt.Errorf("reading the memory of the kernel: %w", err)
	}
	return kilobytes(string(text), "Slab")
}

// slab is a cache of the kernel for objects of one kind.
type slab struct {
	objects, objectBytes int64
	bytes                int64 // that it takes up
}

// socketObjects adds up the caches that sockets use, by slabinfo(5). Two of them hold much
// else as well: of these count as many objects as there are sockets.
func socketObjects(text string, page int64) (int64, error) {
	slabs := map[string]slab{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < slabColumns || words[0] == "#" {
			continue
		}
		one, err := readSlab(words, page)
		if err != nil {
			return 0, fmt.Errorf("reading slabinfo: %s: %w", words[0], err)
		}
		slabs[words[0]] = one
	}
	sockets, found := slabs["sock_inode_cache"]
	if !found {
		return 0, errors.New("reading slabinfo: there is no sock_inode_cache")
	}
	sum := int64(0)
	for _, name := range []string{
		"TCP", "TCPv6", "sock_inode_cache", "filp", "lsm_file_cache", "ep_head", "eventpoll_epi", "eventpoll_pwq",
	} {
		sum += slabs[name].bytes
	}
	for _, name := range []string{"dentry", "lsm_inode_cache"} {
		sum += sockets.objects * slabs[name].objectBytes
	}
	return sum, nil
}

// slabColumns is how many there are at least in the line of a cache.
const slabColumns = 16

func readSlab(words []string, page int64) (slab, error) {
	const objects, objectBytes, pagesEach, slabs = 1, 3, 5, 14 // columns
	var s slab
	var pages, number int64
	for _, column := range []struct {
		index, bits int // more bits than there can be would overflow the sums
		into        *int64
	}{{objects, 31, &s.objects}, {objectBytes, 20, &s.objectBytes}, {pagesEach, 12, &pages}, {slabs, 31, &number}} {
		value, err := strconv.ParseUint(words[column.index], 10, column.bits)
		if err != nil {
			return slab{}, err
		}
		*column.into = int64(value)
	}
	s.bytes = pages * number * page
	return s, nil
}

// socketPages reads how many pages TCP holds for what is on its way.
func socketPages(text string) (int64, error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TCP:" {
			continue
		}
		for n := 1; n+1 < len(words); n += 2 {
			if words[n] == "mem" {
				pages, err := strconv.ParseUint(words[n+1], 10, 40)
				if err != nil {
					return 0, fmt.Errorf("reading the memory of sockets: %w", err)
				}
				return int64(pages), nil
			}
		}
	}
	return 0, errors.New("reading the memory of sockets: there is no TCP")
}
