// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package online

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	"mailpush.internal/pkg/cluster"
	"mailpush.internal/pkg/identity"
)

// Etcd are the members of etcd, which must be new enough.
func Etcd(s *settings.Settings) []Probe {
	probes := make([]Probe, 0, len(s.Cluster.Etcd.Endpoints))
	for _, endpoint := range s.Cluster.Etcd.Endpoints {
		probes = append(probes, Probe{"etcd at " + endpoint, func(ctx context.Context) (string, error) {
			config, err := wire.ClusterConfig(s)
			if err != nil {
				return "", err
			}
			version, err := cluster.Version(ctx, config, endpoint)
			return "version " + version, err
		}})
	}
	return probes
}

// Peers are the other services that the named one calls, each by its certificate.
func Peers(s *settings.Settings, service string, others ...string) []Probe {
	addresses := map[string][]string{
		identity.Admin: s.AdminAddresses(), identity.Vault: s.VaultAddresses(), identity.Scheduler: s.SchedulerAddresses(),
	}
	var probes []Probe
	for _, other := range others {
		for _, address := range addresses[other] {
			probes = append(probes, Probe{other + " at " + address, func(ctx context.Context) (string, error) {
				id, err := identity.Load(s.Cluster.Name, service, s.IdentityFiles(service))
				if err != nil {
					return "", err
				}
				return "", received(ctx, address, id.ClientTLS(other))
			}})
		}
	}
	return probes
}

// MailStores are the mail stores, up to the greeting; nobody logs in.
func MailStores(s *settings.Settings) []Probe {
	var probes []Probe
	for _, name := range slices.Sorted(maps.Keys(s.Mail.Stores)) {
		store := s.Mail.Stores[name]
		if store.Address != "" {
			probes = append(probes, Probe{"mail store " + name + " at " + store.Address, func(ctx context.Context) (string, error) {
				return "", greeted(ctx, store)
			}})
		}
		if store.Doveadm.URL != "" {
			probes = append(probes, Probe{"doveadm of " + name + " at " + store.Doveadm.URL, func(ctx context.Context) (string, error) {
				return "", doveadm(ctx, store.Doveadm)
			}})
		}
	}
	return probes
}

// handshake makes a TLS connection and ends it.
func handshake(ctx context.Context, address string, config *tls.Config) error {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// received connects to a service and waits for its first byte, which comes when it has
// taken this side's certificate: its handshake alone does not tell.
func received(ctx context.Context, address string, config *tls.Config) error {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := inTime(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("it refuses this certificate: %w", err)
	}
	return nil
}

// inTime ends what is said on a connection with ctx.
func inTime(ctx context.Context, conn net.Conn) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	return conn.SetDeadline(deadline)
}

// greeted connects to a mail store in the way it is configured, and waits for its greeting
// (RFC 9051 section 7.1).
func greeted(ctx context.Context, store settings.Store) error {
	config, err := clientTLS(store.Address, store.ServerName, store.CAFile)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", store.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := inTime(ctx, conn); err != nil {
		return err
	}
	switch store.TLS {
	case settings.TLSNone:
		return expect(bufio.NewReader(conn), "* ")
	case settings.TLSStart:
		return startTLS(ctx, conn, config)
	default:
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		return expect(bufio.NewReader(secure), "* ")
	}
}

// startTLS asks for TLS (RFC 9051 section 6.2.1).
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config) error {
	in := bufio.NewReader(conn)
	if err := expect(in, "* "); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "a STARTTLS\r\n"); err != nil {
		return err
	}
	if err := expect(in, "a "); err != nil {
		return err
	}
	return tls.Client(conn, config).HandshakeContext(ctx)
}

// longLine is more than a greeting is long.
const longLine = 8 << 10

// expect reads lines up to the first that begins as wanted, which must say OK or PREAUTH.
func expect(in *bufio.Reader, begin string) error {
	for read := 0; read < longLine; {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("waiting for its answer: %w", err)
		}
		read += len(line)
		rest, begins := strings.CutPrefix(string(line), begin)
		word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		switch {
		case !begins:
		case strings.EqualFold(word, "OK"), strings.EqualFold(word, "PREAUTH"):
			return nil
		default:
			return fmt.Errorf("it says %.200q", strings.TrimSpace(string(line)))
		}
	}
	return errors.New("it talks, and never says OK")
}

// doveadm connects to where doveadm's HTTP API is; nothing is asked.
func doveadm(ctx context.Context, d settings.Doveadm) error {
	at, err := url.Parse(d.URL)
	if err != nil {
		return err
	}
	if at.Scheme == "http" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", withPort(at, "80"))
		if err != nil {
			return err
		}
		return conn.Close()
	}
	address := withPort(at, "443")
	config, err := clientTLS(address, "", d.CAFile)
	if err != nil {
		return err
	}
	return handshake(ctx, address, config)
}

func withPort(at *url.URL, port string) string {
	if at.Port() != "" {
		port = at.Port()
	}
	return net.JoinHostPort(at.Hostname(), port)
}

// clientTLS is how a mail store's certificate is checked.
func clientTLS(address, name, caFile string) (*tls.Config, error) {
	if name == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		name = host
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if caFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", caFile)
	}
	return config, nil
}
