// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// stalls are beginnings of a connection that never come to a request.
func stalls() map[string]string {
	return map[string]string{
		"nothing":                 "",
		"half a header":           "POST / HTTP/1.1\r\nHost: a\r\nX-Header: ",
		"half a preface":          "PRI * HTTP/2.0\r\n\r\nS",
		"HTTP/2 without a stream": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	}
}

// stall opens a connection and sends the beginning of something.
func stall(t *testing.T, address, begin string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, begin) // it may have been displaced already
	return conn
}

// awaitEnd waits until the other side has closed a connection.
func awaitEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection was not closed")
	}
}

func ask(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestServeEndsConnectionsThatMakeNoRequest(t *testing.T) {
	t.Parallel()
	address := start(t, limits{connections: 8, header: 100 * time.Millisecond, body: patience}, nil, http.NotFoundHandler())
	for name, begin := range stalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			awaitEnd(t, stall(t, address, begin))
		})
	}
}

// More connections stall than may be open: whoever calls is served, by connections that
// are new and by one that was there before.
func TestServeServesBesideStalledConnections(t *testing.T) {
	t.Parallel()
	address := start(t, limits{connections: 1000, header: time.Hour, body: patience}, nil,
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	before := over(t, 2)
	if got, err := ask(t, before, "http://"+address); got != "served" {
		t.Fatalf("answered %q, %v", got, err)
	}
	var first net.Conn
	for i := 0; i < 1500; {
		for _, begin := range stalls() {
			if conn := stall(t, address, begin); first == nil {
				first = conn
			}
			if i++; i%100 != 0 {
				continue
			}
			for version, client := range map[string]*http.Client{"1": over(t, 1), "2": over(t, 2), "2, kept": before} {
				if got, err := ask(t, client, "http://"+address); got != "served" {
					t.Errorf("beside %d, HTTP/%s: answered %q, %v", i, version, got, err)
				}
				if client != before {
					client.CloseIdleConnections()
				}
			}
		}
	}
	awaitEnd(t, first)
}

// A connection with a request under way never gives way: one that comes is refused.
func TestServeRefusesConnectionsWhenAllAreAtWork(t *testing.T) {
	t.Parallel()
	kit := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(kit.Close)
	for scheme, config := range map[string]*tls.Config{"http": nil, "https": {Certificates: kit.TLS.Certificates}} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			const most = 3
			began, release := make(chan struct{}, most), make(chan struct{})
			address := start(t, limits{connections: most, header: time.Hour, body: patience}, config,
				http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					began <- struct{}{}
					<-release
					_, _ = io.WriteString(w, "served")
				}))
			answers := make(chan string, most)
			for range most {
				client := over(t, 1)
				if config != nil {
					client = &http.Client{Transport: &http.Transport{
						TLSClientConfig:   kit.Client().Transport.(*http.Transport).TLSClientConfig.Clone(), //nolint:forcetypeassert,errcheck // httptest's word
						ForceAttemptHTTP2: true,
					}}
					t.Cleanup(client.CloseIdleConnections)
				}
				go func() {
					got, err := ask(t, client, fmt.Sprintf("%s://%s", scheme, address))
					answers <- fmt.Sprint(got, err)
				}()
			}
			for range most {
				<-began
			}
			awaitEnd(t, stall(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			close(release)
			for range most {
				if got := <-answers; got != "served<nil>" {
					t.Errorf("answered %s", got)
				}
			}
		})
	}
}
