// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailpush.internal/pkg/identity"
)

// endsSoon is how long before its end --check speaks of a certificate.
const endsSoon = 30 * 24 * time.Hour

// IdentityFiles are what tells the others that a process is the named service.
func (s *Settings) IdentityFiles(service string) identity.Files {
	return identity.Files{
		CA:   filepath.Join(s.Identity.Dir, "ca.crt"),
		Cert: filepath.Join(s.Identity.Dir, service+".crt"),
		Key:  filepath.Join(s.Identity.Dir, service+".key"),
	}
}

// served are the certificates that are shown to clients and mail stores, by their settings.
func (s *Settings) served(services ...string) map[string]TLS {
	all := make(map[string]TLS)
	if slices.Contains(services, identity.Admin) && s.Admin.TLS.CertFile != "" {
		all["admin.tls"] = s.Admin.TLS
	}
	if slices.Contains(services, identity.Worker) && s.Worker.Notify.TLS.CertFile != "" {
		all["worker.notify.tls"] = s.Worker.Notify.TLS
	}
	return all
}

// CheckIdentity judges the certificate of a service as the others will, where its files
// are: that may be another machine.
func (s *Settings) CheckIdentity(service string) error {
	_, err := identity.Judge(s.Cluster.Name, service, s.IdentityFiles(service), time.Now())
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("identity.dir: %w", err)
}

// CheckServed tells which certificates that services show to clients do not fit their keys,
// or are none. One that has ended is to be told of, but no reason not to start.
func (s *Settings) CheckServed(services ...string) error {
	var errs []error
	for key, files := range s.served(services...) {
		if _, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s: %s with %s: %w", key, files.CertFile, files.KeyFile, err))
		}
	}
	return errors.Join(errs...)
}

// explainCertificates tells until when the certificates of a service are good, and which
// of its files are not here.
func (s *Settings) explainCertificates(line liner, service string) {
	files := s.IdentityFiles(service)
	for _, file := range []string{files.CA, files.Cert, files.Key} {
		if _, err := os.Stat(file); err != nil {
			line("note", "%s cannot be read here: %s will not start without it", file, service)
		}
	}
	if until, err := identity.Judge(s.Cluster.Name, service, files, time.Now()); err == nil {
		line("identity", "%s of the cluster %s, %s; its authority %s", service, s.Cluster.Name, untilWords(until.Certificate), untilWords(until.Authority))
	}
	s.explainServed(line, service)
}

// explainServed tells until when the certificates are good that are shown to clients.
func (s *Settings) explainServed(line liner, services ...string) {
	for key, files := range s.served(services...) {
		if pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile); err == nil {
			line("certificate", "%s %s, %s", key, files.CertFile, untilWords(pair.Leaf.NotAfter))
		}
	}
}

// untilWords say when something ends, the louder the sooner.
func untilWords(end time.Time) string {
	day := end.UTC().Format(time.DateOnly)
	switch left := time.Until(end); {
	case left < 0:
		return "which has EXPIRED on " + day
	case left < endsSoon:
		return "ENDS SOON, on " + day
	default:
		return "until " + day
	}
}
