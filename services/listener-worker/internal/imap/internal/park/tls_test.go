// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package park

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Types of records and handshake messages (RFC 8446, appendix B).
const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23

	newSessionTicket = 4
	keyUpdate        = 24
)

// teller is a TLS 1.3 server after its handshake that makes its records itself, so that it
// can say what no library says by itself.
type teller struct {
	t      *testing.T
	conn   net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// talk parks a TLS connection, and returns it with its peer.
func talk(t *testing.T, lot *Lot) (*guest, *teller) {
	t.Helper()
	here, there := streams(t)
	g := park(t, lot, here)
	var log bytes.Buffer
	client, server, err := handshake(g.Socket, there, &log)
	if err != nil {
		t.Fatal(err)
	}
	if suite := server.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("the cipher suite is %s, and the records of this test are of another", tls.CipherSuiteName(suite))
	}
	_ = there.SetDeadline(time.Time{})
	g.stream = client
	peer := &teller{t: t, conn: there}
	for line := range strings.Lines(log.String()) {
		if words := strings.Fields(line); words[0] == "SERVER_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(words[2])
			if err != nil {
				t.Fatal(err)
			}
			peer.use(secret)
		}
	}
	g.rest()
	return g, peer
}

// use takes a secret for what is said from now on (RFC 8446 section 7.3).
func (p *teller) use(secret []byte) {
	p.t.Helper()
	block, err := aes.NewCipher(p.expand(secret, "key", 16))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.aead, err = cipher.NewGCM(block); err != nil {
		p.t.Fatal(err)
	}
	p.secret, p.iv, p.seq = secret, p.expand(secret, "iv", 12), 0
}

// expand is HKDF-Expand-Label with an empty context.
func (p *teller) expand(secret []byte, label string, size int) []byte {
	p.t.Helper()
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len("tls13 "+label)))
	info = append(append(info, "tls13 "+label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), size)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// record makes one record (RFC 8446 section 5.2).
func (p *teller) record(kind byte, words string) string {
	nonce := bytes.Clone(p.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(p.seq >> (56 - 8*i))
	}
	p.seq++
	inner := append([]byte(words), kind)
	header := []byte{recordData, 3, 3}
	header = binary.BigEndian.AppendUint16(header, uint16(len(inner)+p.aead.Overhead()))
	return string(p.aead.Seal(header, nonce, inner, header))
}

func message(kind byte, body string) string {
	return string([]byte{kind, 0, byte(len(body) >> 8), byte(len(body))}) + body
}

// renew is a KeyUpdate, which counts from the next record on.
func (p *teller) renew(wantsAnswer bool) string {
	body := "\x00"
	if wantsAnswer {
		body = "\x01"
	}
	record := p.record(recordHandshake, message(keyUpdate, body))
	p.use(p.expand(p.secret, "traffic upd", sha256.Size))
	return record
}

func ticket() string {
	return message(newSessionTicket, "\x00\x00\x0e\x10\x00\x00\x00\x00"+"\x01n"+"\x00\x20"+strings.Repeat("t", 32)+"\x00\x00")
}

func held(g *guest) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	client, _ := g.stream.(*tls.Conn)
	rawInput, hand, _ := releasable().of(client)
	return rawInput.Cap() + hand.Cap()
}

// Whatever comes, in whatever pieces, is heard, and no buffer is kept once it was.
func TestParkedTLSHearsEverything(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 16<<10)
	for name, say := range map[string]func(p *teller) (records []string, words string){
		"a word":             func(p *teller) ([]string, string) { return []string{p.record(recordData, "hello")}, "hello" },
		"the largest record": func(p *teller) ([]string, string) { return []string{p.record(recordData, big)}, big },
		"an empty record": func(p *teller) ([]string, string) {
			return []string{p.record(recordData, ""), p.record(recordData, "x")}, "x"
		},
		"many records at once": func(p *teller) ([]string, string) {
			all := ""
			for range 50 {
				all += p.record(recordData, "ab")
			}
			return []string{all}, strings.Repeat("ab", 50)
		},
		"records in pieces": func(p *teller) ([]string, string) {
			return strings.Split(p.record(recordData, "one")+p.record(recordData, "two"), ""), "onetwo"
		},
		"a record and a half": func(p *teller) ([]string, string) {
			both := p.record(recordData, "one") + p.record(recordData, big)
			return []string{both[:100], both[100:9000], both[9000:]}, "one" + big
		},
		"new keys": func(p *teller) ([]string, string) {
			return []string{p.renew(false), p.record(recordData, "a"), p.renew(true), p.record(recordData, "b")}, "ab"
		},
		"new keys along with words": func(p *teller) ([]string, string) {
			return []string{p.record(recordData, "a") + p.renew(true) + p.record(recordData, "b")}, "ab"
		},
		"late tickets": func(p *teller) ([]string, string) {
			return []string{p.record(recordHandshake, ticket()+ticket()), p.record(recordData, "a")}, "a"
		},
		"a ticket in two records": func(p *teller) ([]string, string) {
			whole := ticket()
			return []string{p.record(recordHandshake, whole[:7]), p.record(recordHandshake, whole[7:]), p.record(recordData, "a")}, "a"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lot Lot
			g, peer := talk(t, &lot)
			records, words := say(peer)
			for _, record := range records {
				send(t, peer.conn, record)
			}
			g.await(t, len(words))
			if got := g.heard(); got != words {
				t.Errorf("heard %.40q, want %.40q", got, words)
			}
			send(t, peer.conn, peer.record(recordData, "."))
			g.await(t, len(words)+1)
			if size := held(g); size != 0 {
				t.Errorf("%d bytes of buffers are kept", size)
			}
		})
	}
}

func TestParkedTLSEnds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		say  func(p *teller) string
		want error
	}{
		"close_notify":       {func(p *teller) string { return p.record(recordAlert, "\x01\x00") }, io.EOF},
		"words, then an end": {func(p *teller) string { return p.record(recordData, "x") + p.record(recordAlert, "\x01\x00") }, io.EOF},
		"a fatal alert":      {func(p *teller) string { return p.record(recordAlert, "\x02\x50") }, nil},
		"garbage":            {func(*teller) string { return "\x17\x03\x03\x00\x20" + strings.Repeat("?", 32) }, nil},
		"no TLS at all":      {func(*teller) string { return "* BYE\r\n" }, nil},
		"a foreign message":  {func(p *teller) string { return p.record(recordHandshake, message(1, "hello")) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lot Lot
			g, peer := talk(t, &lot)
			send(t, peer.conn, test.say(peer))
			if err := g.awaitEnd(t); err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("ended with %v, want %v", err, test.want)
			}
		})
	}
}

// A peer that asks for answer after answer and reads none loses its connection.
func TestParkedTLSDoesNotWaitForAnswersToBeRead(t *testing.T) {
	t.Parallel()
	var lot Lot
	g, peer := talk(t, &lot)
	go func() {
		for range 200_000 {
			if _, err := io.WriteString(peer.conn, peer.renew(true)+peer.record(recordData, "x")); err != nil {
				return
			}
		}
	}()
	_ = g.awaitEnd(t)
}
