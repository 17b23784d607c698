// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package workerwire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"mailpush.internal/cmd/internal/settings"
	"mailpush.internal/cmd/internal/wire"
	worker "mailpush.internal/services/listener-worker"
)

// notify is where notifications over HTTP come in.
func notify(ctx context.Context, s settings.Notify, addresses *wire.Addresses) (worker.Notify, error) {
	if s.Listen == "" {
		return worker.Notify{}, nil
	}
	password, err := settings.Secret(s.Password, s.PasswordFile)
	if err != nil {
		return worker.Notify{}, fmt.Errorf("worker.notify.passwordFile: %w", err)
	}
	out := worker.Notify{Name: s.Username, Password: password}
	if out.TLS, err = notifyTLS(s); err != nil {
		return worker.Notify{}, err
	}
	if out.Listener, err = addresses.Bind(ctx, "worker.notify.listen", s.Listen); err != nil {
		return worker.Notify{}, err
	}
	return out, addresses.Keep(out.Listener)
}

func notifyTLS(s settings.Notify) (*tls.Config, error) {
	if s.TLS.CertFile == "" {
		return nil, nil //nolint:nilnil // no TLS is an answer
	}
	pair, err := tls.LoadX509KeyPair(s.TLS.CertFile, s.TLS.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("worker.notify.tls: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.ClientCAFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(s.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("worker.notify.clientCAFile: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("worker.notify.clientCAFile: it holds no PEM certificate")
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if s.Username == "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// mailNotify is where datagrams come in.
func mailNotify(ctx context.Context, s settings.MailNotify, addresses *wire.Addresses) (worker.MailNotify, error) {
	secret, err := settings.Secret(s.Secret, s.SecretFile)
	if err != nil {
		return worker.MailNotify{}, fmt.Errorf("worker.mailnotify.secretFile: %w", err)
	}
	out := worker.MailNotify{
		Allow: s.Allow, Secret: secret, LoginDelimiter: s.LoginDelimiter, FullAddress: s.FullAddress, Window: s.Window,
	}
	for _, at := range []struct{ network, key, address string }{
		{"udp", "worker.mailnotify.listen", s.Listen}, {"unixgram", "worker.mailnotify.socket", s.Socket},
	} {
		if at.address == "" {
			continue
		}
		socket, err := addresses.BindPackets(ctx, at.key, at.network, at.address, s.Interface)
		if err != nil {
			return worker.MailNotify{}, err
		}
		out.Sockets = append(out.Sockets, socket)
	}
	return out, nil
}
