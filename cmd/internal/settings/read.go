// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"mailpush.internal/cmd/internal/config"
	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
)

// Load reads the file at path, the environment and key=value flags over the
// defaults. An empty path means no file.
func Load(path string, environ, set []string) (*Settings, error) {
	s := Default()
	_, err := s.LoadOver(path, environ, set)
	return s, err
}

// LoadOver is Load over the settings at hand, and tells which were given.
func (s *Settings) LoadOver(path string, environ, set []string) (config.Given, error) {
	source := config.Source{Name: path, Env: environ, Set: set}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		source.YAML = text
	}
	given, err := config.Load(s, source)
	if err != nil {
		return nil, err
	}
	s.given = given
	return given, errors.Join(
		either(given, "admin.database", s.Admin.Database, s.Admin.DatabaseFile),
		either(given, "vault.database", s.Vault.Database, s.Vault.DatabaseFile),
	)
}

// Where puts in front of an error about a setting where that was given, as far as that is
// known. A flag names its key by itself.
func (s *Settings) Where(key string, err error) error {
	where := s.given.At(key)
	if where == "" || where == "--set "+key {
		return err
	}
	return fmt.Errorf("%s: %w", where, err)
}

// either refuses a secret that is given both in place and as a file. One that is
// there by default gives way to the file.
func either(given config.Given, key string, inline secret.String, file string) error {
	where, inPlace := given[key]
	if !inPlace || inline.IsZero() || file == "" {
		return nil
	}
	return fmt.Errorf("%s (%s) and %sFile (%s) are both given; want one", key, where, key, given[key+"File"])
}

// Secret returns a secret given in place or, when file is set, the file's first
// line: files win over defaults.
func Secret(inline secret.String, file string) (secret.String, error) {
	if file == "" {
		return inline, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return secret.String{}, fmt.Errorf("reading a secret: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return secret.String{}, fmt.Errorf("reading a secret: the first line of %s is empty", file)
	}
	return secret.New(line), nil
}

// Glance is [Secret] for whoever judges a secret before the service that needs it reads it.
// It is the empty one where there is none to judge: the file is not here, or is none, such
// as a pipe, which could be read once only.
func Glance(inline secret.String, file string) secret.String {
	if file != "" {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return secret.String{}
		}
	}
	found, _ := Secret(inline, file) // what is wrong with it the service says
	return found
}

// EtcdTLS returns the TLS configuration for etcd, nil when none is asked for.
func (e Etcd) EtcdTLS() (*tls.Config, error) {
	if e.CAFile == "" && e.CertFile == "" {
		return nil, nil //nolint:nilnil // no TLS is an answer
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		text, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading cluster.etcd.caFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("reading cluster.etcd.caFile: it holds no PEM certificate")
		}
	}
	if e.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading cluster.etcd.certFile: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// OpsListen is where a service tells of its health.
func (s *Settings) OpsListen(service string) string {
	return map[string]string{
		identity.Admin: s.Admin.OpsListen, identity.Vault: s.Vault.OpsListen,
		identity.Scheduler: s.Scheduler.OpsListen, identity.Worker: s.Worker.OpsListen,
	}[service]
}

// AdminAddresses is where RegistryService is reached.
func (s *Settings) AdminAddresses() []string {
	return orOwn(s.Admin.InternalAddress, s.Admin.InternalListen)
}

// VaultAddresses is where VaultService is reached.
func (s *Settings) VaultAddresses() []string { return orOwn(s.Vault.Address, s.Vault.Listen) }

// SchedulerAddresses is where SchedulerService is reached.
func (s *Settings) SchedulerAddresses() []string {
	return orOwn(s.Scheduler.Address, s.Scheduler.Listen)
}

// WorkerAdvertise is where this worker is reached.
func (s *Settings) WorkerAdvertise() string {
	if s.Worker.Advertise != "" {
		return s.Worker.Advertise
	}
	return s.Worker.Listen
}

func orOwn(addresses []string, own string) []string {
	if len(addresses) > 0 {
		return addresses
	}
	return []string{own}
}
