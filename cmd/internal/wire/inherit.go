// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// firstInherited is the first file descriptor of systemd's socket activation.
	firstInherited = 3
	// handedOn names the file descriptors of listening sockets that a process hands to the
	// one that takes its place, or to its child.
	handedOn = "MAILPUSH_LISTEN_FDS"
)

// Inherited are the listening sockets that this process was started with, for its children.
func Inherited() ([]*os.File, error) {
	fds, err := inheritedFDs()
	if err != nil {
		return nil, err
	}
	out := make([]*os.File, len(fds))
	for i, fd := range fds {
		syscall.CloseOnExec(fd) // a child gets copies
		out[i] = os.NewFile(uintptr(fd), "inherited")
	}
	return out, nil
}

// HandOn is an environment for a process that inherits listening sockets, by their file
// descriptors there. What this process was told of its own does not hold for that one.
func HandOn(environ []string, fds []int) []string {
	out := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains([]string{handedOn, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}, name)
	})
	if len(fds) == 0 {
		return out
	}
	texts := make([]string, len(fds))
	for i, fd := range fds {
		texts[i] = strconv.Itoa(fd)
	}
	return append(out, handedOn+"="+strings.Join(texts, ","))
}

// inherited is a listening socket that the process was started with, if one is bound to
// the address; else nil. Such a socket takes connections while there is no process to
// serve them, and whoever connects waits instead of being refused.
func inherited(address string) (net.Listener, error) {
	fds, err := inheritedFDs()
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		listener, err := listenerOf(fd)
		if err != nil {
			return nil, fmt.Errorf("taking over socket %d: %w", fd, err)
		}
		if same(listener.Addr().String(), address) {
			return listener, nil
		}
		_ = listener.Close() // a copy
	}
	return nil, nil //nolint:nilnil // no socket is an answer
}

// inheritedFDs are those of a former process in the same place, and those of systemd's
// socket activation (sd_listen_fds).
func inheritedFDs() ([]int, error) {
	var out []int
	for text := range strings.SplitSeq(os.Getenv(handedOn), ",") {
		if text == "" {
			continue
		}
		fd, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", handedOn, err)
		}
		out = append(out, fd)
	}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return out, nil
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return nil, fmt.Errorf("reading LISTEN_FDS: %w", err)
	}
	for i := range count {
		out = append(out, firstInherited+i)
	}
	return out, nil
}

// listenerOf is a listener on a copy of a socket: the original stays for who looks for
// another address.
func listenerOf(fd int) (net.Listener, error) {
	syscall.CloseOnExec(fd)
	copied, err := syscall.Dup(fd)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(copied)
	file := os.NewFile(uintptr(copied), "inherited")
	defer func() { _ = file.Close() }() // the listener has a copy of its own
	return net.FileListener(file)
}

// same tells whether a socket is bound to an address as the settings write it.
func same(bound, address string) bool {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	got, err := net.ResolveTCPAddr("tcp", bound)
	if err != nil || got.Port != at.Port {
		return false
	}
	anywhere := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	return got.IP.Equal(at.IP) || anywhere(got.IP) && anywhere(at.IP)
}
