// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// Addresses binds addresses and remembers what is open, to be let go when a later
// step fails.
type Addresses struct {
	bound []net.Listener // by the caller
	open  []io.Closer    // in use by the service
	kept  []*os.File     // copies, for the next process
}

// Keep keeps a socket open beyond the service, for a process that follows in this one's
// place.
func (l *Addresses) Keep(listener net.Listener) error {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil
	}
	file, err := tcp.File()
	if err != nil {
		return fmt.Errorf("keeping %s open: %w", listener.Addr(), err)
	}
	l.kept = append(l.kept, file)
	return nil
}

// Kept are the sockets that were kept.
func (l *Addresses) Kept() []*os.File { return l.kept }

// Bind listens on address, which the setting key holds. A socket that the process was
// started with is taken over.
func (l *Addresses) Bind(ctx context.Context, key, address string) (net.Listener, error) {
	for _, listener := range l.bound {
		if listener.Addr().String() == address {
			l.open = append(l.open, listener)
			return listener, nil
		}
	}
	listener, err := Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", key, err)
	}
	l.open = append(l.open, listener)
	return listener, nil
}

// Listen listens on an address, on a socket that the process was started with if that is
// there.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if listener, err := inherited(address); listener != nil || err != nil {
		return listener, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// socketMode lets the mail store write, whoever it runs as: who may come near is for the
// directory to say.
const socketMode = 0o666

// BindPackets is Bind for datagrams, over "udp" or "unixgram". A multicast group is joined
// at a network interface, or at the one that the system picks when none is named. A socket
// that a former process has left in the file system makes room.
func (l *Addresses) BindPackets(ctx context.Context, key, network, address, at string) (net.PacketConn, error) {
	socket, err := listenPackets(ctx, network, address, at)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", key, err)
	}
	l.open = append(l.open, socket)
	return socket, nil
}

func listenPackets(ctx context.Context, network, address, iface string) (net.PacketConn, error) {
	if network == "unixgram" {
		if info, err := os.Lstat(address); err == nil && info.Mode().Type() == os.ModeSocket {
			if err := os.Remove(address); err != nil {
				return nil, err
			}
		}
		socket, err := (&net.ListenConfig{}).ListenPacket(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(address, socketMode); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		return socket, nil
	}
	at, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	if at.IP.IsMulticast() {
		return joinGroup(network, at, iface)
	}
	return (&net.ListenConfig{}).ListenPacket(ctx, network, address)
}

func joinGroup(network string, group *net.UDPAddr, iface string) (net.PacketConn, error) {
	var at *net.Interface // the system picks one
	if iface != "" {
		var err error
		if at, err = net.InterfaceByName(iface); err != nil {
			return nil, fmt.Errorf("interface %q: %w", iface, err)
		}
	}
	return net.ListenMulticastUDP(network, at, group)
}
