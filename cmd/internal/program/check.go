// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// CheckUsage is what the flag --check is for.
const CheckUsage = "validate the configuration and the certificates, explain them and exit; --check=online also reaches for what they name"

// Check is the flag --check: alone, or --check=online.
type Check struct{ Asked, Online bool }

// String implements flag.Value.
func (c *Check) String() string {
	switch {
	case c.Online:
		return "online"
	case c.Asked:
		return "true"
	default:
		return "false"
	}
}

// Set implements flag.Value.
func (c *Check) Set(value string) error {
	if value == "online" {
		*c = Check{Asked: true, Online: true}
		return nil
	}
	asked, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("want --check or --check=online, got %q", value)
	}
	*c = Check{Asked: asked}
	return nil
}

// IsBoolFlag lets the flag stand alone.
func (*Check) IsBoolFlag() bool { return true }

// Type is what cobra calls its value.
func (*Check) Type() string { return "online" }

// readyPatience is how long the service may take to say whether it is ready.
const readyPatience = 5 * time.Second

// ready asks a service on this machine whether it is ready: for health checks of
// containers, in which there is nothing else to ask with.
func ready(opsListen string) error {
	host, port, err := net.SplitHostPort(opsListen)
	if err != nil {
		return fmt.Errorf("reading where it listens: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return errors.Join(errors.New(strings.TrimSpace(string(text))), err)
}
