// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pushv1 "mailpush.internal/proto/gen/mailpush/push/v1"
)

// Whatever is drawn is over when the run is, and is the same for the same seed.
func TestSpellsAreDrawn(t *testing.T) {
	t.Parallel()
	o := Spells{NotFound: Spell{3, 5 * time.Second}, WrongCertificate: Spell{1, time.Minute}, Refusing: Spell{2, time.Minute}}
	for _, length := range []time.Duration{5 * time.Minute, time.Minute, 10 * time.Second} {
		s, same, other := newSpells(o, 7, length), newSpells(o, 7, length), newSpells(o, 8, length)
		for n, windows := range append(s.origins, s.of("box-1/phone"), s.of("box-2/phone")) {
			want := 4
			if n >= origins {
				want = 2
			}
			if len(windows) != want {
				t.Errorf("%v: %d windows, want %d", length, len(windows), want)
			}
			for _, w := range windows {
				if w.from < 0 || w.upto > length || w.from >= w.upto {
					t.Errorf("%v: from %v to %v", length, w.from, w.upto)
				}
			}
		}
		all := cmp.AllowUnexported(window{})
		if diff := cmp.Diff(s.origins, same.origins, all) + cmp.Diff(s.of("box-1/phone"), same.of("box-1/phone"), all); diff != "" {
			t.Errorf("%v: the same seed draws another: %s", length, diff)
		}
		if length > time.Minute && cmp.Diff(s.origins, other.origins, all) == "" {
			t.Errorf("%v: another seed draws the same", length)
		}
	}
}

// spelled are receivers with TLS in a spell that lasts, and a client that trusts them.
func spelled(t *testing.T, o Spells) (*receivers, *http.Client) {
	t.Helper()
	spells := newSpells(o, 1, time.Hour)
	r, err := newReceivers(newRecord(), newDice(Odds{}, 1), spells, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.expect("box-1/phone", testSecret)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.certificates.trusted)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return r, &http.Client{Transport: transport}
}

// In a spell a push gets the wrong answer, and is not taken in; before the run begins it
// gets the right one, over a connection that a wrong certificate ends.
func TestSpells(t *testing.T) {
	t.Parallel()
	hour := Spell{Times: 1, Length: time.Hour}
	for name, test := range map[string]struct {
		spells Spells
		status int // 0: cut off
		want   WrongAnswers
	}{
		"none":              {Spells{}, http.StatusNoContent, WrongAnswers{}},
		"not found":         {Spells{NotFound: hour}, http.StatusNotFound, WrongAnswers{NotFound: 1}},
		"refusing":          {Spells{Refusing: hour}, http.StatusBadRequest, WrongAnswers{Refused: 1}},
		"not found at all":  {Spells{NotFound: hour, Refusing: hour}, http.StatusNotFound, WrongAnswers{NotFound: 1}},
		"wrong certificate": {Spells{WrongCertificate: hour, Refusing: hour}, 0, WrongAnswers{Certificates: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, client := spelled(t, test.spells)
			if status, _, err := postBy(t, client, r, testSecret, newMail); err != nil || status != http.StatusNoContent {
				t.Fatalf("before the run: %d, %v", status, err)
			}
			r.spells.begin()
			status, _, err := postBy(t, client, r, testSecret, newMail)
			if status != test.status || (err != nil) != (test.status == 0) {
				t.Errorf("%d, %v; want %d", status, err, test.status)
			}
			if test.want.Certificates > 0 {
				var verify *tls.CertificateVerificationError
				if _, _, err := postBy(t, client, r, testSecret, newMail); !errors.As(err, &verify) {
					t.Errorf("the certificate is taken: %v", err)
				}
			}
			got := r.spells.counts()
			got.Certificates = min(got.Certificates, 1) // a client may ask again by itself
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			taken, complaints := r.record.read()
			want := 1
			if test.status == http.StatusNoContent {
				want = 2
			}
			if len(taken) != want || len(complaints) > 0 {
				t.Errorf("%d taken in, want %d; complaints %q", len(taken), want, complaints)
			}
		})
	}
}

// Each certificate that is no good is so in its own way.
func TestBadCertificates(t *testing.T) {
	t.Parallel()
	c, err := newCertificates(1, hosts()...)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.trusted)
	verify := func(pair tls.Certificate) error {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.3"})
		return err
	}
	if err := verify(c.good); err != nil {
		t.Error(err)
	}
	var said []string
	for _, pair := range c.bad {
		said = append(said, fmt.Sprint(verify(pair)))
	}
	for n, want := range []string{"127.0.0.3 because", "expired", "unknown authority"} {
		if n >= len(said) || !strings.Contains(said[n], want) {
			t.Errorf("certificates that are no good: %q, want %q", said, want)
		}
	}
}

// Who is not listed, or is disabled, is lost; who comes twice counts once.
func TestServed(t *testing.T) {
	t.Parallel()
	phone, tablet := &pushv1.Subscription{ClientId: "phone"}, &pushv1.Subscription{ClientId: "tablet"}
	for name, test := range map[string]struct {
		listed []*pushv1.Subscription
		want   int
	}{
		"both":        {[]*pushv1.Subscription{phone, tablet}, 2},
		"none":        {nil, 0},
		"one":         {[]*pushv1.Subscription{tablet}, 1},
		"one twice":   {[]*pushv1.Subscription{tablet, tablet}, 1},
		"one is ill":  {[]*pushv1.Subscription{phone, {ClientId: "tablet", Disabled: true}}, 1},
		"a stranger":  {[]*pushv1.Subscription{phone, {ClientId: "watch"}}, 1},
		"ill and new": {[]*pushv1.Subscription{{ClientId: "phone", Disabled: true}, phone, tablet}, 2},
	} {
		if got := served(test.listed); got != test.want {
			t.Errorf("%s: %d are served, want %d", name, got, test.want)
		}
	}
}
