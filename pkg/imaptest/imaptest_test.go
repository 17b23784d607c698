// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imaptest_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"mailpush.internal/pkg/imaptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// login connects to a server and opens INBOX; the channel tells of EXISTS.
func login(t *testing.T, addr string, ca []byte, password string) (*imapclient.Client, *imap.SelectData, <-chan uint32) {
	t.Helper()
	exists := make(chan uint32, 100)
	options := &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		},
	}}
	var client *imapclient.Client
	var err error
	if ca == nil {
		client, err = imapclient.DialInsecure(addr, options)
	} else {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		options.TLSConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		client, err = imapclient.DialTLS(addr, options)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Login("anna", password).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := client.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return client, data, exists
}

func await(t *testing.T, exists <-chan uint32) uint32 {
	t.Helper()
	select {
	case n := <-exists:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("no EXISTS")
		return 0
	}
}

func TestServerTellsOfMailBeforeAndDuringIdle(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewServer(imaptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	client, data, exists := login(t, server.Addr(), server.CA(), "pw")
	if data.UIDNext != 1 || data.UIDValidity < 1e9 {
		t.Errorf("folder = %+v", data)
	}
	if _, err := server.Deliver("anna", []byte("Subject: before\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if n := await(t, exists); n != 1 {
		t.Errorf("EXISTS %d", n)
	}
	if uid, err := server.Deliver("anna", []byte("Subject: during\r\n\r\n")); err != nil || uid != 2 {
		t.Errorf("delivered UID %d, %v", uid, err)
	}
	if n := await(t, exists); n != 2 {
		t.Errorf("EXISTS %d", n)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if _, err := server.Deliver("nobody", nil); err == nil {
		t.Error("delivered to nobody")
	}
}

func TestServerTellsIdleSessionsOfAnAppendByAnother(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	idling, data, exists := login(t, server.Addr(), nil, "pw")
	if _, err := idling.Idle(); err != nil {
		t.Fatal(err)
	}
	other, _, _ := login(t, server.Addr(), nil, "pw")
	for n, mail := range []string{"Subject: one\r\n\r\n", "Subject: two\r\n\r\n"} {
		appending := other.Append("INBOX", int64(len(mail)), nil)
		if _, err := appending.Write([]byte(mail)); err != nil {
			t.Fatal(err)
		}
		if err := appending.Close(); err != nil {
			t.Fatal(err)
		}
		appended, err := appending.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if want := (imap.AppendData{UID: imap.UID(n + 1), UIDValidity: data.UIDValidity}); *appended != want {
			t.Errorf("appended %+v, want %+v", *appended, want)
		}
		if got := await(t, exists); got != uint32(n+1) {
			t.Errorf("EXISTS %d, want %d", got, n+1)
		}
	}
}

func TestServerTakesTheMasterUserForOthers(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewServer(imaptest.Options{Protection: imaptest.Plain})
	if err != nil {
		t.Fatal(err)
	}
	server.SetMaster("root", "secret")
	t.Cleanup(func() { _ = server.Close() })
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		identity, user, password string
		ok                       bool
	}{
		"own password":        {"", "anna", "pw", true},
		"wrong password":      {"", "anna", "no", false},
		"master":              {"anna", "root", "secret", true},
		"master, wrong":       {"anna", "root", "no", false},
		"master as himself":   {"", "root", "secret", false},
		"not a master":        {"anna", "eve", "secret", false},
		"master for a nobody": {"nobody", "root", "secret", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := imapclient.DialInsecure(server.Addr(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			if err := client.Authenticate(plain{test.identity, test.user, test.password}); (err == nil) != test.ok {
				t.Errorf("login: %v", err)
			}
		})
	}
}

type plain struct{ identity, user, password string }

func (p plain) Start() (string, []byte, error) {
	return "PLAIN", []byte(p.identity + "\x00" + p.user + "\x00" + p.password), nil
}
func (plain) Next([]byte) ([]byte, error) { return nil, nil }

func TestManyTellsAll(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewMany(imaptest.ManyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var told []<-chan uint32
	for range 20 {
		client, _, exists := login(t, server.Addr(), server.CA(), "any")
		if _, err := client.Idle(); err != nil {
			t.Fatal(err)
		}
		told = append(told, exists)
	}
	if n := server.Idle(); n != 20 {
		t.Errorf("%d in IDLE", n)
	}
	uid := server.Deliver()
	for _, exists := range told {
		if n := await(t, exists); n != uid {
			t.Errorf("EXISTS %d", n)
		}
	}
}

// Mail that arrives while a client is not in IDLE is told as soon as it is, as real servers do.
func TestManyTellsOfMailBeforeIdle(t *testing.T) {
	t.Parallel()
	server, err := imaptest.NewMany(imaptest.ManyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	server.Deliver() // SELECT tells this
	client, _, exists := login(t, server.Addr(), server.CA(), "any")
	for range 2 {
		uid := server.Deliver()
		idle, err := client.Idle()
		if err != nil {
			t.Fatal(err)
		}
		if n := await(t, exists); n != uid {
			t.Errorf("EXISTS %d, want %d", n, uid)
		}
		if err := idle.Close(); err != nil {
			t.Fatal(err)
		}
	}
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if len(exists) > 0 {
		t.Errorf("EXISTS %d a second time", <-exists)
	}
}
