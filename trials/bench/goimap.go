// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"mailpush.internal/trials/internal/rig"
)

// roleGoIMAP as first argument makes a copy of this program hold connections of the stock
// go-imap client.
const roleGoIMAP = "bench-goimap"

func goimapRole(args []string, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 || args[1] != roleGoIMAP {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := holdGoIMAP(ctx, args[2:]); err != nil {
		fmt.Fprintln(stderr, roleGoIMAP+":", err)
		return 1, true
	}
	return 0, true
}

// holdGoIMAP opens so many mailboxes at an address and waits in IDLE until it is told to
// end.
func holdGoIMAP(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("want ADDRESS CA FIRST COUNT")
	}
	first, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(args[1]) //nolint:gosec // the benchmark itself names the file
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "localhost", RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca) // without it no handshake succeeds
	idling := make([]*imapclient.IdleCommand, count)
	var group errgroup.Group
	group.SetLimit(peersAtOnce)
	for n := range idling {
		group.Go(func() (err error) {
			idling[n], err = idleGoIMAP(args[0], config, rig.Box(first+n))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func idleGoIMAP(address string, config *tls.Config, box string) (*imapclient.IdleCommand, error) {
	client, err := imapclient.DialTLS(address, &imapclient.Options{TLSConfig: config})
	if err != nil {
		return nil, err
	}
	if err := client.Login(box, rig.Password).Wait(); err != nil {
		return nil, err
	}
	if _, err := client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	return client.Idle()
}
