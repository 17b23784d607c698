// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecottest_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"mailpush.internal/pkg/dovecottest"
)

//nolint:tparallel // the server must have ended before the last check
func TestDeliversAndLeavesNoProcess(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("the Dovecot lane is not run with -short")
		return
	}
	var session net.Conn
	served := t.Run("serves", func(t *testing.T) {
		server := dovecottest.Start(t)
		if err := server.AddUser("anna", "pw"); err != nil {
			t.Fatal(err)
		}
		if err := server.Deliver("anna", []byte("Subject: hello\r\n\r\nHello.\r\n")); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		session = conn
		deadline(t, conn)
		lines := bufio.NewReader(conn)
		expect(t, lines, "* OK")
		say(t, conn, "a LOGIN anna pw")
		expect(t, lines, "a OK")
		say(t, conn, "b STATUS INBOX (MESSAGES)")
		expect(t, lines, "* STATUS INBOX (MESSAGES 1)")
		say(t, conn, "c SELECT INBOX")
		expect(t, lines, "c OK")
		say(t, conn, "d IDLE")
		expect(t, lines, "+")

		if err := server.SetPassword("anna", "px"); err != nil { // of the same length
			t.Fatal(err)
		}
		other, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		deadline(t, other)
		lines = bufio.NewReader(other)
		say(t, other, "a LOGIN anna pw")
		expect(t, lines, "a NO [AUTHENTICATIONFAILED]")
		say(t, other, "b LOGIN anna px")
		expect(t, lines, "b OK")

		expectMaster(t, server)
	})
	if !served {
		return
	}
	if _, err := bufio.NewReader(session).ReadString(0); err == nil || os.IsTimeout(err) {
		t.Errorf("the session goes on after Stop: %v", err)
	}
}

// A Dovecot that was stopped comes back where it was, with its users and their mail.
func TestStartsAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("the Dovecot lane is not run with -short")
		return
	}
	server := dovecottest.Start(t)
	if err := server.AddUser("anna", "pw"); err != nil {
		t.Fatal(err)
	}
	for mails := range 2 {
		if err := server.Deliver("anna", []byte("Subject: hello\r\n\r\nHello.\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", server.Addr()); err == nil {
			_ = conn.Close()
			t.Error("it is stopped, and takes a connection")
		}
		if err := server.StartAgain(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		deadline(t, conn)
		lines := bufio.NewReader(conn)
		say(t, conn, "a LOGIN anna pw")
		expect(t, lines, "a OK")
		say(t, conn, "b STATUS INBOX (MESSAGES)")
		expect(t, lines, fmt.Sprintf("* STATUS INBOX (MESSAGES %d)", mails+1))
		_ = conn.Close()
	}
}

// expectMaster finds that the master user opens anna's mailbox with the password it has
// at the time, and with no other.
func expectMaster(t *testing.T, server *dovecottest.Server) {
	t.Helper()
	for _, password := range []string{"old", "new"} {
		if err := server.SetMaster("root", password); err != nil {
			t.Fatal(err)
		}
		for shown, answer := range map[string]string{password: "a OK", "wrong": "a NO [AUTHENTICATIONFAILED]"} {
			conn, err := net.Dial("tcp", server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			deadline(t, conn)
			say(t, conn, "a AUTHENTICATE PLAIN "+base64.StdEncoding.EncodeToString([]byte("anna\x00root\x00"+shown)))
			expect(t, bufio.NewReader(conn), answer)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func say(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "%s\r\n", line); err != nil {
		t.Fatal(err)
	}
}

// expect reads up to a line with the prefix; a tagged answer that is another one
// is an error.
func expect(t *testing.T, lines *bufio.Reader, prefix string) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err == nil && prefix[0] != '*' && line[0] == prefix[0] && !strings.HasPrefix(line, prefix) {
			t.Fatalf("waiting for %q: got %q", prefix, line)
		}
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

func deadline(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
}
