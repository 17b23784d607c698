// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"mailpush.internal/pkg/pushtest"
)

// origins is how many servers the endpoints are spread over: a sender that stays away
// from one that fails leaves the others alone.
const origins = 8

// receivers are the endpoints of all subscriptions.
type receivers struct {
	record  *record
	dice    *dice[trouble]
	hasty   bool          // answer 200 to what is not accepted, too
	longest time.Duration // that a receiver hangs
	servers []*pushtest.Receiver

	spells       *spells       // nil: none
	certificates *certificates // nil: without TLS

	mu      sync.Mutex
	secrets map[string]string // by subscription
}

func newReceivers(record *record, dice *dice[trouble], spells *spells, hasty bool) (*receivers, error) {
	r := &receivers{record: record, dice: dice, spells: spells, hasty: hasty, longest: longest, secrets: make(map[string]string)}
	if spells != nil {
		var err error
		if r.certificates, err = newCertificates(spells.seed, hosts()...); err != nil {
			return nil, err
		}
	}
	for n, host := range hosts() {
		options := pushtest.Options{Address: host + ":0", Answer: r.answerAt(n), Forget: true}
		if r.certificates != nil {
			options.TLS = r.certificates.tls(
				func() bool { return spells.origin(n) == wrongCertificate }, func() { spells.count(wrongCertificate) })
		}
		server, err := pushtest.New(options)
		if err != nil {
			r.close()
			return nil, err
		}
		r.servers = append(r.servers, server)
	}
	return r, nil
}

// hosts are those of the origins.
func hosts() []string {
	var out []string
	for n := range origins {
		out = append(out, fmt.Sprintf("127.0.0.%d", n+1))
	}
	return out
}

// url is the endpoint of the nth subscription.
func (r *receivers) url(n int, subscription string) string {
	return r.servers[n%origins].URL() + "/" + subscription
}

// expect has a subscription's pushes verified with the secret it was given.
func (r *receivers) expect(subscription, secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[subscription] = secret
}

// answerAt is how the endpoints of the nth origin answer.
func (r *receivers) answerAt(n int) pushtest.Answer {
	return func(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
		r.record.request()
		if err := r.check(push); err != nil {
			r.record.complain(err.Error())
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if what := r.wrong(n, push.Path); what != right {
			what.answer(w)
			return
		}
		r.answer(w, request, push)
	}
}

// wrong is the wrong answer that an endpoint of the nth origin gives now.
func (r *receivers) wrong(n int, subscription string) wrong {
	if r.spells == nil {
		return right
	}
	what := r.spells.origin(n)
	if what == right {
		what = r.spells.subscription(subscription)
	}
	if what != right && what != wrongCertificate { // that one is counted where it is shown
		r.spells.count(what)
	}
	return what
}

func (r *receivers) answer(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	if push.Type != pushtest.TypeNewMail {
		pushtest.Accept(w, request, push)
		return
	}
	what := r.dice.throw()
	if what.takes() {
		r.record.take(taken(push, what == accept))
	}
	if r.hasty {
		what = accept
	}
	what.answer(w, request, r.longest)
}

// check tells what is wrong with a push.
func (r *receivers) check(push *pushtest.Push) error {
	subscription := push.Path
	r.mu.Lock()
	secret, known := r.secrets[subscription]
	r.mu.Unlock()
	switch {
	case push.Err != nil:
		return fmt.Errorf("%s got what is no push: %w", subscription, push.Err)
	case push.Type == pushtest.TypeReset:
		return fmt.Errorf("%s was told of a reset that never was", subscription)
	case !known && push.Type != pushtest.TypeNewMail: // it may be quicker than the answer to Subscribe
		return nil
	case !known:
		return fmt.Errorf("%s got mail before there was any", subscription)
	case push.Type == pushtest.TypeNewMail && push.Data.UserID != boxOf(subscription):
		return fmt.Errorf("%s got mail of %q", subscription, push.Data.UserID)
	}
	if err := push.Verify(secret); err != nil {
		return fmt.Errorf("%s got a push that is not its own: %w", subscription, err)
	}
	return nil
}

// taken is what a push brings to a subscription.
func taken(push *pushtest.Push, answered bool) []Taken {
	out := make([]Taken, 0, len(push.Data.Events))
	for _, event := range push.Data.Events {
		out = append(out, Taken{
			Subscription: push.Path, Mail: event.Subject, UID: event.UID, Answered: answered,
			ID: event.ID, TrueID: eventID(push.Data.ContextID, push.Data.UserID, push.Data.Folder, push.Data.UIDValidity, event.UID),
		})
	}
	return out
}

// eventID is the id that a mail's event has, worked out apart from mailpush's own code:
// a digest of the cluster's name and of the mail's place, each text behind its length.
func eventID(contextID, userID, folder string, uidValidity, uid uint32) string {
	digest := sha256.New()
	for _, text := range []string{clusterName, contextID, userID, folder} {
		_ = binary.Write(digest, binary.BigEndian, uint64(len(text))) // a digest takes everything
		_, _ = io.WriteString(digest, text)
	}
	_ = binary.Write(digest, binary.BigEndian, []uint32{uidValidity, uid})
	const digits = 26
	return "evt_" + strings.ToLower(base32.StdEncoding.EncodeToString(digest.Sum(nil)))[:digits]
}

// close ends the servers and what they are doing.
func (r *receivers) close() {
	for _, server := range r.servers {
		server.Close()
	}
}
