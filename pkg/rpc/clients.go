// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"net/http"
	"sync"

	"mailpush.internal/pkg/identity"
)

// maxClients bounds the processes to which connections are kept.
const maxClients = 256

// Clients are clients of a service's processes, each at an address of its own: they come
// and go under new ones. It is safe for concurrent use.
type Clients struct {
	id      *identity.Identity
	service string
	mu      sync.Mutex
	known   map[string]*http.Client // by address
}

// NewClients makes clients of a service.
func NewClients(id *identity.Identity, service string) *Clients {
	return &Clients{id: id, service: service, known: make(map[string]*http.Client)}
}

// At is the client of the process at an address.
func (c *Clients) At(address string) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.known[address]
	if client == nil {
		c.makeRoom()
		client = Client(c.id, c.service, []string{address})
		c.known[address] = client
	}
	return client
}

// makeRoom lets go of any connection; calls on it go on.
func (c *Clients) makeRoom() {
	for address, client := range c.known {
		if len(c.known) < maxClients {
			return
		}
		client.CloseIdleConnections()
		delete(c.known, address)
	}
}

// CloseIdleConnections lets go of connections that no call is on.
func (c *Clients) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.known {
		client.CloseIdleConnections()
	}
}
