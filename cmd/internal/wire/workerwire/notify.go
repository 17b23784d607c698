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

// notify is how notifications over HTTP are taken.
func notify(s settings.Notify) (worker.Notify, error) {
	if s.Listen == "" {
		return worker.Notify{}, nil
	}
	password, err := settings.Secret(s.Password, s.PasswordFile)
	if err != nil {
		return worker.Notify{}, fmt.Errorf("worker.notify.passwordFile: %w", err)
	}
	out := worker.Notify{Name: s.Username, Password: password}
	out.TLS, err = notifyTLS(s)
	return out, err
}

// bindNotify binds where notifications come in, over HTTP and as datagrams.
func bindNotify(ctx context.Context, s settings.Worker, addresses *wire.Addresses, config *worker.Config) (err error) {
	if s.Notify.Listen != "" {
		config.Notify.Listener, err = addresses.Bind(ctx, "worker.notify.listen", s.Notify.Listen)
		if err == nil {
			err = addresses.Keep(config.Notify.Listener)
		}
		if err != nil {
			return err
		}
	}
	for _, at := range []struct{ network, key, address string }{
		{"udp", "worker.mailnotify.listen", s.MailNotify.Listen}, {"unixgram", "worker.mailnotify.socket", s.MailNotify.Socket},
	} {
		if at.address == "" {
			continue
		}
		socket, err := addresses.BindPackets(ctx, at.key, at.network, at.address, s.MailNotify.Interface)
		if err != nil {
			return err
		}
		config.MailNotify.Sockets = append(config.MailNotify.Sockets, socket)
	}
	return nil
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

// mailNotify is how datagrams are taken.
func mailNotify(s settings.MailNotify) (worker.MailNotify, error) {
	secret, err := settings.Secret(s.Secret, s.SecretFile)
	if err != nil {
		return worker.MailNotify{}, fmt.Errorf("worker.mailnotify.secretFile: %w", err)
	}
	return worker.MailNotify{
		Allow: s.Allow, Secret: secret, LoginDelimiter: s.LoginDelimiter, FullAddress: s.FullAddress, Window: s.Window,
	}, nil
}
