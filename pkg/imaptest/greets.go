// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// Greets tells whether the IMAP server at an address is the one whose greeting has a name
// in it, and comes within a time.
func Greets(ctx context.Context, address, name string, within time.Duration) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // only looking
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.Contains(line, name) {
		err = fmt.Errorf("another greets: %q", line)
	}
	return err
}
