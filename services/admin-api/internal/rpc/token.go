// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"encoding/base64"
	"strconv"
	"strings"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/services/admin-api/internal/registry"
)

// A page token is the place where the page before has ended: the kind of listing
// and the last row's key, in base64url. It holds nothing that the page did not
// show, so nobody gains by making one up.
const (
	usersToken         = "u"
	registrationsToken = "r"
	shardToken         = "s"
	subscriptionsToken = "b"
	deadLettersToken   = "d"
	historyToken       = "h"
)

func encodeToken(kind string, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(kind + " " + strings.Join(parts, " ")))
}

// decodeToken reads a token of so many parts; of an empty one all parts are empty. One of
// another listing is refused, and so is what no database compares alike: bytes beyond
// printable ASCII, which no key has.
func decodeToken(token, kind string, parts int) ([]string, error) {
	if token == "" {
		return make([]string, parts), nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	fields := strings.Split(string(raw), " ")
	if err != nil || len(fields) != parts+1 || fields[0] != kind || !printable(raw) {
		return nil, errToken()
	}
	return fields[1:], nil
}

func errToken() error {
	return fault.Field("pageToken", "is not the nextPageToken of an earlier page")
}

func printable(raw []byte) bool {
	for _, b := range raw {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// encodePosition is the token of a listing by shards, which goes by cells first.
func encodePosition(p registry.Position) string {
	return encodeToken(shardToken, strconv.FormatUint(uint64(p.Cell), 10), p.Key)
}

func decodePosition(token string) (registry.Position, error) {
	parts, err := decodeToken(token, shardToken, 2)
	if err != nil || token == "" {
		return registry.Position{}, err
	}
	cell, err := strconv.ParseUint(parts[0], 10, 31) // there are 2^31 cells
	if err != nil {
		return registry.Position{}, errToken()
	}
	return registry.Position{Cell: uint32(cell), Key: parts[1]}, nil
}

// encodePlace is the token of a listing that begins with the newest; empty for the zero
// place, after which nothing follows.
func encodePlace(p registry.Place, kind string) string {
	if p == (registry.Place{}) {
		return ""
	}
	return encodeToken(kind, strconv.FormatInt(p.At, 10), p.ID)
}

// decodePlace reads where the page before has ended; an empty token is for the newest.
func decodePlace(token, kind string) (registry.Place, error) {
	parts, err := decodeToken(token, kind, 2)
	if err != nil || token == "" {
		return registry.Place{}, err
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return registry.Place{}, errToken()
	}
	return registry.Place{At: at, ID: parts[1]}, nil
}
