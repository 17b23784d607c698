// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"crypto/tls"
	"sync/atomic"
)

// TLS is how a server protects its connections, and may be replaced while it serves: each
// connection goes by what is in force when it is made. It is safe for concurrent use.
type TLS struct{ current atomic.Pointer[tls.Config] }

// NewTLS starts with a configuration; nil is a server without TLS, and stays one.
func NewTLS(config *tls.Config) *TLS {
	if config == nil {
		return nil
	}
	t := new(TLS)
	t.Replace(config)
	return t
}

// Replace has connections from now on go by another configuration. A server does not begin
// or cease to have TLS so: without one, on either side, nothing changes.
func (t *TLS) Replace(config *tls.Config) {
	if t == nil || config == nil {
		return
	}
	own := config.Clone()
	own.NextProtos = []string{"h2", "http/1.1"}
	t.current.Store(own)
}

// Config is for [Serve]; nil without TLS.
func (t *TLS) Config() *tls.Config {
	if t == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil },
	}
}
