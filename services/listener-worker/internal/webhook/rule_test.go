// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"mailpush.internal/services/listener-worker/internal/transport"
	"mailpush.internal/services/listener-worker/internal/webhook"
)

// ruled are rules that have to be right.
func ruled(t *testing.T, files ...webhook.RuleFiles) []*webhook.Rule {
	t.Helper()
	rules, err := webhook.NewRules(files)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// who is the next that has come; empty when nobody has called.
func who(came <-chan string) string {
	select {
	case name := <-came:
		return name
	default:
		return ""
	}
}

func TestRuleBringsAnAuthorityAndAClientCertificate(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	url, came := ours.serve(tls.RequireAndVerifyClientCert, nil)
	certFile, keyFile := ours.client("mailpush")
	wrongCert, wrongKey := theirs.client("somebody")
	for name, c := range map[string]struct {
		rules []webhook.RuleFiles
		class transport.Class
		came  string
	}{
		"no rule":                {nil, transport.Misconfigured, ""},
		"an authority alone":     {[]webhook.RuleFiles{{Origin: url, CAFile: ours.file()}}, transport.Retry, ""},
		"a certificate alone":    {[]webhook.RuleFiles{{Origin: url, CertFile: certFile, KeyFile: keyFile}}, transport.Misconfigured, ""},
		"both":                   {[]webhook.RuleFiles{{url, ours.file(), certFile, keyFile}}, transport.OK, "mailpush"},
		"another authority":      {[]webhook.RuleFiles{{url, theirs.file(), certFile, keyFile}}, transport.Misconfigured, ""},
		"another's certificate":  {[]webhook.RuleFiles{{url, ours.file(), wrongCert, wrongKey}}, transport.Retry, ""},
		"a rule for another one": {[]webhook.RuleFiles{{"https://127.0.0.1", ours.file(), certFile, keyFile}}, transport.Misconfigured, ""},
	} {
		sender := client(t, webhook.Config{Rules: ruled(t, c.rules...)})
		for range 2 { // the second on a connection that is kept
			result := sender.Send(t.Context(), push(url+"/hook"))
			if result.Class != c.class || (result.Class != transport.OK) != result.Unanswered {
				t.Errorf("%s: %+v, want class %v", name, result, c.class)
			}
			if got := who(came); got != c.came {
				t.Errorf("%s: %q has come, want %q", name, got, c.came)
			}
		}
	}
}

func TestRefusedClientCertificateIsSaidSo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	url, _ := a.serve(tls.RequireAndVerifyClientCert, nil)
	result := client(t, webhook.Config{RootCAs: a.pool()}).Send(t.Context(), push(url))
	// The server ends the connection after the client's part of the handshake. Which word of
	// it arrives first is for the network to say.
	for _, want := range []string{"certificate required", "is a client certificate required?", "write: connection reset by peer", "write: broken pipe"} {
		if strings.Contains(result.Detail, want) {
			return
		}
	}
	t.Errorf("result %+v", result)
}

func TestClientCertificateGoesToNoOtherOrigin(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	other, cameToOther := a.serve(tls.RequestClientCert, nil)
	moved := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusPermanentRedirect) }
	url, came := a.serve(tls.RequestClientCert, moved)
	certFile, keyFile := a.client("mailpush")
	sender := client(t, webhook.Config{RootCAs: a.pool(), Rules: ruled(t, webhook.RuleFiles{url, a.file(), certFile, keyFile})})

	if result := sender.Send(t.Context(), push(url)); result.Class != transport.Misconfigured || who(came) != "mailpush" {
		t.Errorf("a redirect: %+v", result)
	}
	if got := who(cameToOther); got != "" {
		t.Errorf("%s has followed the redirect", got)
	}
	// The same server under another name, and another port of the same host.
	if sender.Send(t.Context(), push(strings.Replace(url, "127.0.0.1", "localhost", 1))); who(came) != "nobody" {
		t.Error("the certificate was shown under another name")
	}
	if result := sender.Send(t.Context(), push(other)); result.Class != transport.OK || who(cameToOther) != "nobody" {
		t.Errorf("another port: %+v", result)
	}
	// Whatever was sent before, with and without: pools are apart.
	if sender.Send(t.Context(), push(strings.ToUpper(url[:5])+url[5:]+"/?again")); who(came) != "mailpush" {
		t.Error("the certificate was not shown again")
	}
}

func TestMostSpecificRuleCounts(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	at, came := a.serve(tls.RequestClientCert, nil, "*.hooks.example", "*.eu.hooks.example", "hooks.example", "xn--bcher-kva.example", "a.xn--bcher-kva.example")
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	port := u.Port()
	rule := func(name, origin string) webhook.RuleFiles {
		b := *a
		b.dir = t.TempDir()
		certFile, keyFile := b.client(name)
		return webhook.RuleFiles{Origin: origin + ":" + port, CAFile: a.file(), CertFile: certFile, KeyFile: keyFile}
	}
	sender := client(t, webhook.Config{
		RootCAs: a.pool(), Resolver: nameServer(t, fixed("127.0.0.1")), Rules: ruled(t,
			rule("any", "https://*.Hooks.example."), rule("one", "https://one.hooks.example"), rule("eu", "HTTPS://*.eu.hooks.example"),
			rule("books", "https://*.bücher.example"),
		),
	})
	for host, want := range map[string]string{
		"a.hooks.example": "any", "A.HOOKS.EXAMPLE.": "any", "one.hooks.example": "one", "x.eu.hooks.example": "eu", "eu.hooks.example": "any",
		"hooks.example": "nobody", "127.0.0.1": "nobody", "a.xn--bcher-kva.example": "books", "a.bücher.example": "books", "bücher.example": "nobody",
	} {
		if result := sender.Send(t.Context(), push("https://"+net.JoinHostPort(host, port)+"/")); result.Class != transport.OK {
			t.Errorf("%s: %+v", host, result)
		}
		if got := who(came); got != want {
			t.Errorf("%s: %q has come, want %q", host, got, want)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	ca := a.file()
	certFile, keyFile := a.client("mailpush")
	_, otherKey := b.client("other")
	const origin = "https://hooks.example"
	for _, c := range []struct {
		rules []webhook.RuleFiles
		want  []string // what the lines of the error begin with; nil when there is none
	}{
		{nil, nil},
		{[]webhook.RuleFiles{{origin, ca, certFile, keyFile}, {origin + ":8443", ca, "", ""}, {"https://*.hooks.example/", "", certFile, keyFile}}, nil},
		{[]webhook.RuleFiles{{CAFile: ca}}, []string{"push.webhook.rules[0].origin: must be an absolute https URL"}},
		{[]webhook.RuleFiles{{"http://hooks.example", ca, "", ""}}, []string{"push.webhook.rules[0].origin: must be https"}},
		{[]webhook.RuleFiles{{"https://u:hidden@hooks.example", ca, "", ""}}, []string{"push.webhook.rules[0].origin: must not carry user info"}},
		{[]webhook.RuleFiles{{origin + "/hidden", ca, "", ""}}, []string{"push.webhook.rules[0].origin: want https://host or https://host:port, and nothing behind it"}},
		{[]webhook.RuleFiles{{origin + "/?hidden", ca, "", ""}}, []string{"push.webhook.rules[0].origin: want https://host"}},
		{[]webhook.RuleFiles{{"https://*", ca, "", ""}}, []string{"push.webhook.rules[0].origin: has no valid host"}},
		{[]webhook.RuleFiles{{"https://*.", ca, "", ""}}, []string{"push.webhook.rules[0].origin: has no valid host"}},
		{[]webhook.RuleFiles{{"https://a.*.example", ca, "", ""}}, []string{"push.webhook.rules[0].origin: has no valid host"}},
		{[]webhook.RuleFiles{{"https://*.127.0.0.1", ca, "", ""}}, []string{"push.webhook.rules[0].origin: there is nothing below an address"}},
		{[]webhook.RuleFiles{{"https://*.0.0.1.", ca, "", ""}}, []string{"push.webhook.rules[0].origin: has no valid host"}},
		{[]webhook.RuleFiles{{"https://*.[::1]", ca, "", ""}}, []string{"push.webhook.rules[0].origin: there is nothing below an address"}},
		{[]webhook.RuleFiles{{origin, "", "", ""}}, []string{"push.webhook.rules[0].caFile: is needed, or certFile and keyFile"}},
		{[]webhook.RuleFiles{{origin, ca, certFile, ""}}, []string{"push.webhook.rules[0].keyFile: is needed, for certFile is given"}},
		{[]webhook.RuleFiles{{origin, ca, "", keyFile}}, []string{"push.webhook.rules[0].certFile: is needed, for keyFile is given"}},
		{[]webhook.RuleFiles{{origin, "/nowhere", "", ""}}, []string{"push.webhook.rules[0].caFile: open /nowhere: no such file"}},
		{[]webhook.RuleFiles{{origin, keyFile, "", ""}}, []string{"push.webhook.rules[0].caFile: " + keyFile + " holds no PEM certificate"}},
		{[]webhook.RuleFiles{{origin, "", "/nowhere", keyFile}}, []string{"push.webhook.rules[0].certFile: open /nowhere: no such file"}},
		{[]webhook.RuleFiles{{origin, "", keyFile, keyFile}}, []string{"push.webhook.rules[0].certFile: " + keyFile + " holds no PEM certificate"}},
		{[]webhook.RuleFiles{{origin, "", certFile, "/nowhere"}}, []string{"push.webhook.rules[0].keyFile: open /nowhere: no such file"}},
		{[]webhook.RuleFiles{{origin, "", certFile, otherKey}}, []string{"push.webhook.rules[0].keyFile: " + otherKey + " does not fit certFile " + certFile + ": tls: private key does not match public key"}},
		{[]webhook.RuleFiles{{origin, "", certFile, certFile}}, []string{"push.webhook.rules[0].keyFile: " + certFile + " does not fit"}},
		{[]webhook.RuleFiles{{origin, ca, "", ""}, {"https://other.example", ca, "", ""}, {"HTTPS://Hooks.example.:443/", ca, "", ""}}, []string{
			`push.webhook.rules[2].origin: "HTTPS://Hooks.example.:443/" is for the same origin as push.webhook.rules[0].origin, "https://hooks.example": want one rule for https://hooks.example:443`,
		}},
		{[]webhook.RuleFiles{{"https://*.bücher.example", ca, "", ""}, {"https://*.xn--bcher-kva.example", ca, "", ""}, {origin, "/nowhere", "", ""}}, []string{
			"push.webhook.rules[1].origin: ", "push.webhook.rules[2].caFile: ",
		}},
	} {
		_, err := webhook.NewRules(c.rules)
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		fits := len(got) == len(c.want) && (err == nil || !strings.Contains(err.Error(), "hidden"))
		for n := range min(len(got), len(c.want)) {
			fits = fits && strings.HasPrefix(got[n], c.want[n])
		}
		if !fits {
			t.Errorf("%+v: got %q, want %q", c.rules, got, c.want)
		}
	}
}

func TestFilesOfARuleAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	url, came := a.serve(tls.RequestClientCert, nil)
	certFile, keyFile := a.client("first")
	var log bytes.Buffer
	sender := client(t, webhook.Config{
		Rules: ruled(t, webhook.RuleFiles{url, a.file(), certFile, keyFile}), Reread: time.Nanosecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	sent := func(want string) {
		t.Helper()
		if result := sender.Send(t.Context(), push(url)); result.Class != transport.OK {
			t.Errorf("result %+v", result)
		}
		if got := who(came); got != want {
			t.Errorf("%q has come, want %q", got, want)
		}
	}
	at := time.Now()
	changed := func() { // the clock of files may be coarse
		at = at.Add(time.Second)
		for _, file := range []string{certFile, keyFile} {
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	sent("first")
	if a.client("second"); log.Len() != 0 {
		t.Errorf("logged before anything changed: %s", &log)
	}
	changed()
	sent("second")
	// One of two files is written, the other not yet.
	a.write("client.crt", "CERTIFICATE", a.issue("third").Certificate[0])
	changed()
	sent("second")
	sent("second")
	if n := strings.Count(log.String(), "keyFile: "+keyFile+" does not fit certFile"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, &log)
	}
	a.client("third")
	changed()
	sent("third")
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	sent("third")
}
