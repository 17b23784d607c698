// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// Package embedded runs etcd inside the process: the default of cmd/mailpush, and
// the real thing in tests. It is a package of its own so that only those who start
// a server link one. Invariant: a started server answers, and after Close it holds
// no port, file or goroutine.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/crypto/bcrypt"
)

const (
	// readyTimeout bounds a start: a healthy server is ready in a fraction of a second.
	readyTimeout = 20 * time.Second
	// quotaBytes bounds the database. The whole plan of a million users is under a
	// hundredth of it; what fills it is history, which compaction removes.
	quotaBytes = 512 << 20
	// compactionRetention is how much history is kept for watchers that fell behind.
	compactionRetention = "5m"
	// maxSocketPath is what fits into sockaddr_un.
	maxSocketPath = 100
)

// Config says how to run a server. Only Dir is needed.
type Config struct {
	// Dir holds the data; it is created with mode 0700 when missing.
	Dir string
	// ClientListen is the URL clients connect to, such as http://127.0.0.1:2379; a
	// port of 0 takes a free one. Empty means a unix socket in Dir, which the file
	// system guards: the server asks clients for no password. A server that is alone listens
	// for peers on such a socket, too.
	ClientListen string
	// Log gets the server's warnings and errors. Nil drops them.
	Log *slog.Logger

	// Place is the server's place in a cluster of several; nil for one that is alone.
	Place *Place
	// QuotaBytes bounds the database; 0 means 512 MiB.
	QuotaBytes int64
	// CheapPasswords makes checking a password quick, and guessing one: for tests.
	CheapPasswords bool
}

// Counts are what a server says of itself.
type Counts struct {
	// Entries is how many entries of the replicated log were applied, and Revision
	// grows with each transaction that changes a key.
	Entries  uint64
	Revision int64
	// Bytes is what the database holds, history included, without free pages.
	Bytes int64
}

// Place is a server's place in a cluster of several.
type Place struct {
	// Name is the member's, and PeerURL is where the others reach it.
	Name, PeerURL string
	// Members are all of them, as etcd writes it: name=peer URL, with commas between.
	Members string
}

// Server is a running etcd.
type Server struct {
	etcd     *embed.Etcd
	endpoint string
	closing  *atomic.Bool
	once     sync.Once
}

// Start runs a server until Close. It returns when the server answers, when ctx
// ends or after 20 seconds, whichever comes first.
func Start(ctx context.Context, config Config) (*Server, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating etcd's directory: %w", err)
	}
	server, err := launch(config)
	if err != nil {
		return nil, fmt.Errorf("starting etcd in %s: %w", config.Dir, err)
	}
	if err := server.ready(ctx); err != nil {
		server.Close()
		return nil, fmt.Errorf("starting etcd in %s: %w", config.Dir, err)
	}
	return server, nil
}

// launch starts the server without waiting for it.
func launch(config Config) (*Server, error) {
	closing := new(atomic.Bool)
	settings, err := settings(config, closing)
	if err != nil {
		return nil, err
	}
	etcd, err := embed.StartEtcd(settings)
	if err != nil {
		return nil, err
	}
	endpoint := settings.ListenClientUrls[0]
	if endpoint.Scheme != "unix" {
		endpoint.Host = etcd.Clients[0].Addr().String()
	}
	return &Server{etcd: etcd, endpoint: endpoint.String(), closing: closing}, nil
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errors.New("the server is not ready in time"))
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("the server stopped by itself")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Counts returns what was written so far.
func (s *Server) Counts() Counts {
	return Counts{
		Entries:  s.etcd.Server.AppliedIndex(),
		Revision: s.etcd.Server.KV().Rev(),
		Bytes:    s.etcd.Server.Backend().SizeInUse(),
	}
}

// Endpoints returns what a client connects to.
func (s *Server) Endpoints() []string { return []string{s.endpoint} }

// Close stops the server and waits for it. A second call does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		s.closing.Store(true)
		s.etcd.Close()
	})
}

// settings translates Config into etcd's own.
func settings(config Config, closing *atomic.Bool) (*embed.Config, error) {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	client, err := clientURL(config)
	if err != nil {
		return nil, err
	}
	out := embed.NewConfig()
	out.Dir = filepath.Join(config.Dir, "etcd")
	out.ListenClientUrls, out.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	if err := placed(out, config); err != nil {
		return nil, err
	}
	out.AutoCompactionMode, out.AutoCompactionRetention = embed.CompactorModePeriodic, compactionRetention
	out.QuotaBackendBytes = cmp.Or(config.QuotaBytes, quotaBytes)
	if config.CheapPasswords {
		out.BcryptCost = uint(bcrypt.MinCost)
	}
	out.LogLevel = "warn"
	out.ZapLoggerBuilder = embed.NewZapLoggerBuilder(bridge(config.Log, closing))
	return out, nil
}

// placed sets the server's place among its peers. One that is alone has none, but etcd
// listens for them all the same, and whoever reaches that without TLS may write: it listens on
// a socket beside the clients', which nobody dials. The address under which it stands in the
// list of members is the one that data directories of earlier releases have.
func placed(out *embed.Config, config Config) error {
	if config.Place == nil {
		socket, err := socketPath(config, "peer.sock")
		if err != nil {
			return err
		}
		out.Name = "mailpush"
		out.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: socket}} // etcd takes the host for the path
		out.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
		out.InitialCluster = out.Name + "=" + out.AdvertisePeerUrls[0].String()
		return nil
	}
	peer, err := url.Parse(config.Place.PeerURL)
	if err != nil {
		return fmt.Errorf("reading the peer URL: %w", err)
	}
	out.Name, out.InitialCluster = config.Place.Name, config.Place.Members
	out.ListenPeerUrls, out.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	return nil
}

func clientURL(config Config) (*url.URL, error) {
	if config.ClientListen != "" {
		out, err := url.Parse(config.ClientListen)
		if err != nil {
			return nil, fmt.Errorf("reading the client URL: %w", err)
		}
		return out, nil
	}
	socket, err := socketPath(config, "etcd.sock")
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "unix", Path: socket}, nil
}

// socketPath is where a socket of the server is to be; there is none.
func socketPath(config Config, name string) (string, error) {
	socket, err := filepath.Abs(filepath.Join(config.Dir, name))
	if err != nil {
		return "", fmt.Errorf("finding the socket's place: %w", err)
	}
	if len(socket) > maxSocketPath {
		return "", fmt.Errorf("the path %s is too long for a socket: choose a shorter data directory", socket)
	}
	// A socket left behind by a killed process would be in the way. Two servers never
	// share a directory: the database file in it is locked.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("removing the old socket: %w", err)
	}
	return socket, nil
}
