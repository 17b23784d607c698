// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"compress/gzip"
	"fmt"
	"io"

	"connectrpc.com/connect"
)

// maxInflated bounds what a compressed request becomes, also where a plain one may be
// larger: our own clients compress none, and a mebibyte of gzip can become a gibibyte.
const maxInflated = MaxPublicBytes

// BoundedGzip takes requests that gzip has made smaller, of at most so many bytes. It stops
// at the first byte too many with what tooLarge returns: Connect alone would go on to the
// end, to tell how large the request is.
func BoundedGzip(most int, tooLarge func() error) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &inflater{most: most, tooLarge: tooLarge} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) },
	)
}

// boundedGzip is BoundedGzip for handlers that take maxBytes.
func boundedGzip(maxBytes int) connect.HandlerOption {
	most := min(maxBytes, maxInflated)
	return BoundedGzip(most, func() error {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("the request is larger than %d bytes when it is uncompressed", most))
	})
}

type inflater struct {
	gzip.Reader

	most, left int
	tooLarge   func() error
}

// Reset implements [connect.Decompressor].
func (i *inflater) Reset(r io.Reader) error {
	i.left = i.most
	return i.Reader.Reset(r)
}

// Read implements [io.Reader].
func (i *inflater) Read(p []byte) (int, error) {
	if i.left < 0 {
		return 0, i.tooLarge()
	}
	n, err := i.Reader.Read(p[:min(len(p), i.left+1)])
	if i.left -= n; i.left < 0 {
		return 0, i.tooLarge()
	}
	return n, err
}
