// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package doveadm

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/secret"
)

const (
	apiKey   = "key-of-the-test"
	patience = time.Minute
)

// asked is one command as it came.
type asked struct {
	name string
	user string
	tag  string
}

// fakeServer plays the doveadm of a Dovecot: each user behaves in a way of its own.
type fakeServer struct {
	*httptest.Server

	mu    sync.Mutex
	posts [][]asked
	ways  map[string]func(w http.ResponseWriter, r *http.Request) // instead of an answer to the POST
	whole func(w http.ResponseWriter, r *http.Request, all []asked) bool
	rows  func(a asked) string // an element of the answer
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	f := &fakeServer{ways: make(map[string]func(http.ResponseWriter, *http.Request))}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) client(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	cfg := Config{URL: f.URL + "/doveadm/v1", Key: func() secret.String { return secret.New(apiKey) }, Timeout: patience}
	if change != nil {
		change(&cfg)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

func (f *fakeServer) behave(user string, way func(http.ResponseWriter, *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ways[user] = way
}

func (f *fakeServer) seen() [][]asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts
}

func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var list [][3]json.RawMessage
	if err != nil || json.Unmarshal(body, &list) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	all := make([]asked, len(list))
	for i, element := range list {
		var given struct{ User string }
		if json.Unmarshal(element[0], &all[i].name) != nil || json.Unmarshal(element[1], &given) != nil ||
			json.Unmarshal(element[2], &all[i].tag) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		all[i].user = given.User
	}
	f.mu.Lock()
	f.posts = append(f.posts, all)
	var way func(http.ResponseWriter, *http.Request)
	for _, a := range all {
		if f.ways[a.user] != nil {
			way = f.ways[a.user]
		}
	}
	whole, rows := f.whole, f.rows
	f.mu.Unlock()
	switch {
	case way != nil:
		way(w, r)
	case whole != nil && whole(w, r, all):
	default:
		answer(w, all, rows)
	}
}

// answer answers all of a POST, each command with the user as a row.
func answer(w io.Writer, all []asked, rows func(asked) string) {
	var out []string
	for _, a := range all {
		if rows != nil {
			out = append(out, rows(a))
			continue
		}
		out = append(out, fmt.Sprintf(`["doveadmResponse",[{"user":%q,"uidnext":"7"}],%q]`, a.user, a.tag))
	}
	_, _ = io.WriteString(w, "["+strings.Join(out, ",")+"]")
}

// hangUp ends the connection without a word, as a doveadm process that dies does.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	hijacker, _ := w.(http.Hijacker)
	conn, _, err := hijacker.Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// hang says nothing until the other side gives up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// ask asks for users, all at once, and returns what became of each.
func ask(t *testing.T, c *Client, users ...string) map[string]error {
	t.Helper()
	var mu sync.Mutex
	out := make(map[string]error)
	var all sync.WaitGroup
	for _, user := range users {
		all.Go(func() {
			answers, err := c.Ask(t.Context(), user, Status())
			if err == nil && answers[0].Err != nil {
				err = answers[0].Err
			}
			if err == nil && answers[0].Rows[0]["user"] != user {
				err = fmt.Errorf("has the rows of %q", answers[0].Rows[0]["user"])
			}
			mu.Lock()
			defer mu.Unlock()
			out[user] = err
		})
	}
	all.Wait()
	return out
}

func many(n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf("u%d", i)
	}
	return users
}

// refusing is an address nobody listens at.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String() + "/doveadm/v1"
}
