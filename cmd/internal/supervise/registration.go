// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxLine bounds a line about a registration.
const maxLine = 1024

// Registration is a process's place in the cluster.
type Registration struct {
	Worker string // the id it is registered under
	Lease  int64  // what the registration hangs on
}

// message is a registration as it is told, on a line of its own. Parent and process may be
// of different releases, as after a restart in place: fields are only ever added.
type message struct {
	Worker string `json:"worker"`
	Lease  string `json:"lease"` // hexadecimal, as etcdctl writes it
}

func (r Registration) leaseText() string { return strconv.FormatInt(r.Lease, 16) }

// line is the registration as it is told.
func (r Registration) line() ([]byte, error) {
	text, err := json.Marshal(message{r.Worker, r.leaseText()})
	return append(text, '\n'), err
}

// parseRegistration reads such a line, without its end.
func parseRegistration(line []byte) (Registration, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return Registration{}, fmt.Errorf("reading a registration: %w", err)
	}
	lease, err := strconv.ParseInt(m.Lease, 16, 64)
	switch {
	case err != nil:
		return Registration{}, fmt.Errorf("reading a registration: lease: %w", err)
	case lease <= 0:
		return Registration{}, fmt.Errorf("reading a registration: lease: %q is none", m.Lease)
	case m.Worker == "":
		return Registration{}, fmt.Errorf("reading a registration: worker: it is empty")
	}
	return Registration{m.Worker, lease}, nil
}
