// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mailpush.internal/pkg/fault"
	"mailpush.internal/pkg/secret"
)

func newAuth(t *testing.T) *Authenticator {
	t.Helper()
	a, err := New(
		[]Admin{{Name: "root", PasswordHash: cheap(secret.New("right"))}},
		[]Application{{Name: "app", TokenHash: HashToken(secret.New("token")), Contexts: []string{"1", "acme-*"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// cheap hashes so weakly that a test can afford many logins.
func cheap(password secret.String) string {
	h := PasswordHash{memory: 8, time: 1, threads: 1, salt: []byte("saltsalt"), key: make([]byte, keyBytes)}
	enc := base64.RawStdEncoding
	return "$argon2id$v=19$m=8,t=1,p=1$" + enc.EncodeToString(h.salt) + "$" + enc.EncodeToString(h.derive(password))
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	phc := HashPassword(secret.New("right"))
	if phc == HashPassword(secret.New("right")) || strings.Contains(phc, "right") {
		t.Errorf("no fresh salt in %q", phc)
	}
	h, err := ParsePasswordHash(phc)
	if err != nil || !h.matches(secret.New("right")) || h.matches(secret.New("wrong")) || h.matches(secret.String{}) {
		t.Errorf("hash %q does not tell right from wrong: %v", phc, err)
	}
	for _, bad := range []string{
		"", "right", strings.Replace(phc, "argon2id", "argon2i", 1), strings.Replace(phc, "v=19", "v=18", 1),
		strings.Replace(phc, "m=19456", "m=9999999", 1), strings.Replace(phc, "t=2", "t=0", 1), strings.Replace(phc, "t=2", "t=99", 1),
		strings.Replace(phc, "p=1", "p=0", 1), strings.Replace(phc, "m=19456", "m=+19456", 1), strings.Replace(phc, "p=1", "p=1x", 1),
		phc + "$", phc[:strings.LastIndex(phc, "$")+1], phc + "=",
	} {
		if _, err := ParsePasswordHash(bad); err == nil {
			t.Errorf("accepted %q", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the hash: %v", err)
		}
	}
}

func FuzzParsePasswordHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := ParsePasswordHash(phc)
		if err == nil && (h.memory > maxMemory || h.time > maxTime || len(h.key) == 0) {
			t.Errorf("accepted %q", phc)
		}
	})
}

func TestNewNamesTheEntryAtFault(t *testing.T) {
	t.Parallel()
	good, token := HashPassword(secret.New("x")), HashToken(secret.New("x"))
	for want, try := range map[string]func() (*Authenticator, error){
		`admin "a"`:       func() (*Authenticator, error) { return New([]Admin{{"a", "plain"}}, nil) },
		`admin "b"`:       func() (*Authenticator, error) { return New([]Admin{{"b", good}, {"b", good}}, nil) },
		`application "c"`: func() (*Authenticator, error) { return New(nil, []Application{{"c", "plain", []string{"*"}}}) },
		`application "d"`: func() (*Authenticator, error) { return New(nil, []Application{{"d", token, nil}}) },
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "plain") {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	a := newAuth(t)
	c, err := a.Bearer("ip", "token")
	if err != nil || c.Admin || c.Name != "app" {
		t.Fatalf("got %+v, %v", c, err)
	}
	for contextID, want := range map[string]bool{"1": true, "11": false, "acme-x": true, "xacme-": false, "": false} {
		if c.Covers(contextID) != want {
			t.Errorf("covers %q: %v", contextID, !want)
		}
	}
	if _, err := a.Bearer("ip", "other"); fault.KindOf(err) != fault.Unauthenticated {
		t.Error(err)
	}
}

func TestFailuresAreLimitedPerSource(t *testing.T) {
	t.Parallel()
	a, now := newAuth(t), time.Now()
	a.now = func() time.Time { return now }
	const right = fault.Kind(-1)
	basic := func(address, name, password string) fault.Kind {
		if _, err := a.Basic(t.Context(), address, name, secret.New(password)); err != nil {
			return fault.KindOf(err)
		}
		return right
	}
	if got := basic("near", "root", "right"); got != right {
		t.Fatalf("the right password: %v", got)
	}
	if got := basic("near", "nobody", "right"); got != fault.Unauthenticated {
		t.Fatalf("an administrator's password under another name: %v", got)
	}
	for range failuresAllowed {
		if got := basic("far", "root", "wrong"); got != fault.Unauthenticated {
			t.Fatalf("a wrong password: %v", got)
		}
	}
	for source, want := range map[source]fault.Kind{
		{"far", "root"}: fault.Exhausted, {"far", "other"}: fault.Unauthenticated, {"near", "root"}: fault.Unauthenticated,
	} {
		if got := basic(source.address, source.name, "wrong"); got != want {
			t.Errorf("%v: %v, want %v", source, got, want)
		}
	}
	// Who has been right a moment ago is not locked out by a neighbour.
	if got := basic("far", "root", "right"); got != right {
		t.Errorf("the right password, remembered: %v", got)
	}
	now = now.Add(successTime)
	if a.successes.has("root", secret.New("right"), now) {
		t.Error("a success is remembered for too long")
	}
	if got := basic("far", "root", "wrong"); got != fault.Unauthenticated {
		t.Errorf("after a while: %v", got)
	}
}

func TestFailuresAreLimitedPerAddressWhateverTheName(t *testing.T) {
	t.Parallel()
	a, now := newAuth(t), time.Now()
	a.now = func() time.Time { return now }
	try := func(address string, n int) fault.Kind {
		_, err := a.Basic(t.Context(), address, strconv.Itoa(n), secret.New("wrong"))
		return fault.KindOf(err)
	}
	for n := range networkAllowed {
		if got := try("far", n); got != fault.Unauthenticated {
			t.Fatalf("name %d: %v", n, got)
		}
	}
	if got := try("far", networkAllowed); got != fault.Exhausted {
		t.Errorf("one name more: %v", got)
	}
	if got := try("near", 0); got != fault.Unauthenticated {
		t.Errorf("another address: %v", got)
	}
	now = now.Add(networkEvery)
	if got := try("far", networkAllowed); got != fault.Unauthenticated {
		t.Errorf("after a while: %v", got)
	}
}

func TestLoginsDoNotQueueForEver(t *testing.T) {
	t.Parallel()
	a := newAuth(t)
	login := func(password string) error {
		_, err := a.Basic(t.Context(), "ip", "root", secret.New(password))
		return err
	}
	for range hashesAtOnce { // who computes and does not come to an end
		a.logins <- struct{}{}
		a.hashing <- struct{}{}
	}
	done := make(chan error)
	for range loginsAtOnce - hashesAtOnce {
		go func() { done <- login("found right by the first") }()
	}
	for len(a.logins) < loginsAtOnce {
		runtime.Gosched()
	}
	if err := login("right"); fault.KindOf(err) != fault.Exhausted || err.Error() != errBusy.Error() {
		t.Errorf("with the queue full: %v", err)
	}
	// One hash is enough for all who have waited with the same password.
	a.successes.add("root", secret.New("found right by the first"), time.Now())
	<-a.hashing
	for range loginsAtOnce - hashesAtOnce {
		if err := <-done; err != nil {
			t.Errorf("one who has waited: %v", err)
		}
	}
	if err := login("wrong"); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPeerIsAnAddressOrANetwork(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:4711":              "192.0.2.7",
		"[::ffff:192.0.2.7]:4711":     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:4711": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:4711": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:4711":         "fe80::/64",
		"@":                           "@", // a Unix socket
		"not-an-address:4711":         "not-an-address",
	} {
		if got := peer(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}

func TestMemoryOfStrangersIsBounded(t *testing.T) {
	t.Parallel()
	f, now := newFailures(failuresAllowed, failureEvery), time.Now()
	for i := range 3 * maxSources {
		f.note(source{"ip", string(rune(i))}, now)
	}
	s := newSuccesses()
	for i := range 3 * maxSuccesses {
		s.add(string(rune(i)), secret.String{}, now)
	}
	if len(f.young)+len(f.old) > maxSources || len(s.until) > maxSuccesses {
		t.Errorf("%d sources, %d successes", len(f.young)+len(f.old), len(s.until))
	}
}

func TestConcurrentCallersAllGetTheirAnswer(t *testing.T) {
	t.Parallel()
	a := newAuth(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := a.Basic(t.Context(), "ip", "root", secret.New("right")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	a := newAuth(t)
	var refused []string
	h := a.Middleware("/admin/", func(code string) { refused = append(refused, code) }, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			c, err := From(r.Context())
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write([]byte(c.Name))
		}))
	tests := []struct {
		name, path, header string
		status             int
		body, challenge    string
	}{
		{"admin", "/admin/x", "Basic cm9vdDpyaWdodA==", 200, "root", ""},
		{"admin pushes", "/push/x", "Basic cm9vdDpyaWdodA==", 200, "root", ""},
		{"application", "/push/x", "bearer token", 200, "app", ""},
		{"application as admin", "/admin/x", "Bearer token", 403, "permission_denied", ""},
		{"nobody", "/push/x", "", 401, "unauthenticated", "Basic"},
		{"wrong password", "/admin/x", "Basic cm9vdDp3cm9uZw==", 401, "unauthenticated", "Basic"},
		{"malformed", "/admin/x", "Basic !!!", 401, "unauthenticated", "Basic"},
		{"empty token", "/push/x", "Bearer ", 401, "unauthenticated", "Basic"},
	}
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) ||
			!strings.HasPrefix(w.Header().Get("WWW-Authenticate"), tt.challenge) {
			t.Errorf("%s: %d %v %s", tt.name, w.Code, w.Header(), w.Body)
		}
	}
	if len(refused) != 5 {
		t.Errorf("refusals heard of: %v", refused)
	}
	var last *httptest.ResponseRecorder
	// Too many wrong ones: other credentials would help, and the answer says so.
	for range failuresAllowed + 1 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/push/x", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Basic cm9vdDp3cm9uZw==")
		last = httptest.NewRecorder()
		h.ServeHTTP(last, r)
	}
	if last.Code != 429 || !strings.HasPrefix(last.Header().Get("WWW-Authenticate"), "Basic") {
		t.Errorf("too many: %d %v %s", last.Code, last.Header(), last.Body)
	}
	if _, err := From(t.Context()); err == nil {
		t.Error("a context without a caller has one")
	}
}

// Other callers come into the place of those there were: who was right has to show it again,
// and who was wrong too often is not forgiven.
func TestCallersAreReplaced(t *testing.T) {
	t.Parallel()
	a := newAuth(t)
	if _, err := a.Basic(t.Context(), "10.0.0.1", "root", secret.New("right")); err != nil {
		t.Fatal(err)
	}
	for range failuresAllowed + 1 {
		_, _ = a.Basic(t.Context(), "10.0.0.2", "root", secret.New("wrong"))
	}
	next, err := a.With([]Admin{{Name: "root", PasswordHash: cheap(secret.New("other"))}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Basic(t.Context(), "10.0.0.1", "root", secret.New("right")); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the former password: %v", err)
	}
	if _, err := next.Basic(t.Context(), "10.0.0.1", "root", secret.New("other")); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := next.Basic(t.Context(), "10.0.0.2", "root", secret.New("again")); fault.KindOf(err) != fault.Exhausted {
		t.Errorf("who was wrong too often: %v", err)
	}
	if _, err := next.Bearer("10.0.0.1", "token"); err == nil {
		t.Error("an application that is gone was let in")
	}
	if _, err := a.Bearer("10.0.0.1", "token"); err != nil {
		t.Errorf("calls that have begun go by the former callers: %v", err)
	}
}
