// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// origins is how many servers the endpoints are spread over: a sender that stays away
// from one that fails leaves the others alone.
const origins = 8

// readTimeout bounds the reading of one request.
const readTimeout = 10 * time.Second

// receivers are the endpoints of all subscriptions.
type receivers struct {
	record  *record
	dice    *dice
	servers []*http.Server
	urls    []string
	serving sync.WaitGroup

	mu   sync.Mutex
	keys map[string]*standardwebhooks.Webhook // by subscription
}

func newReceivers(record *record, dice *dice) (*receivers, error) {
	r := &receivers{record: record, dice: dice, keys: make(map[string]*standardwebhooks.Webhook)}
	for n := range origins {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", n+1)) //nolint:noctx // a listener on loopback does not block
		if err != nil {
			r.close()
			return nil, fmt.Errorf("starting a receiver: %w", err)
		}
		server := &http.Server{Handler: http.HandlerFunc(r.serve), ReadTimeout: readTimeout}
		r.servers, r.urls = append(r.servers, server), append(r.urls, "http://"+listener.Addr().String())
		r.serving.Go(func() { _ = server.Serve(listener) }) // until close
	}
	return r, nil
}

// url is the endpoint of the nth subscription.
func (r *receivers) url(n int, subscription string) string {
	return r.urls[n%origins] + "/" + subscription
}

// expect has a subscription's pushes verified with the secret it was given.
func (r *receivers) expect(subscription, secret string) error {
	key, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("reading the signing secret of %s: %w", subscription, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[subscription] = key
	return nil
}

// push is the part of a body that is looked at.
type push struct {
	Type string `json:"type"`
	Data struct {
		ContextID   string `json:"contextId"`
		UserID      string `json:"userId"`
		Folder      string `json:"folder"`
		UIDValidity uint32 `json:"uidValidity"`
		Events      []struct {
			ID      string `json:"id"`
			UID     uint32 `json:"uid"`
			Subject string `json:"subject"`
		} `json:"events"`
	} `json:"data"`
}

func (r *receivers) serve(w http.ResponseWriter, request *http.Request) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return // the sender was killed
	}
	r.record.request()
	subscription := strings.TrimPrefix(request.URL.Path, "/")
	var got push
	if err := r.check(subscription, request.Header, text, &got); err != nil {
		r.record.complain(err.Error())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	what := accept
	if got.Type == "mail:new" {
		if what = r.dice.throw(); what.takes() {
			r.record.take(got.taken(subscription, what == accept))
		}
	}
	what.answer(w, request)
}

// check reads a request and tells what is wrong with it.
func (r *receivers) check(subscription string, header http.Header, text []byte, got *push) error {
	r.mu.Lock()
	key := r.keys[subscription]
	r.mu.Unlock()
	if err := json.Unmarshal(text, got); err != nil {
		return fmt.Errorf("%s got what is no push: %w", subscription, err)
	}
	switch {
	case got.Type == "mailbox:reset":
		return fmt.Errorf("%s was told of a reset that never was", subscription)
	case key == nil && got.Type != "mail:new": // it may be quicker than the answer to Subscribe
		return nil
	case key == nil:
		return fmt.Errorf("%s got mail before there was any", subscription)
	case got.Type == "mail:new" && got.Data.UserID != boxOf(subscription):
		return fmt.Errorf("%s got mail of %q", subscription, got.Data.UserID)
	}
	if err := key.Verify(text, header); err != nil {
		return fmt.Errorf("%s got a push whose signature is wrong: %w", subscription, err)
	}
	return nil
}

// taken is what a push brings to a subscription.
func (p *push) taken(subscription string, answered bool) []Taken {
	out := make([]Taken, 0, len(p.Data.Events))
	for _, event := range p.Data.Events {
		out = append(out, Taken{
			Subscription: subscription, Mail: event.Subject, UID: event.UID, Answered: answered,
			ID: event.ID, TrueID: eventID(p.Data.ContextID, p.Data.UserID, p.Data.Folder, p.Data.UIDValidity, event.UID),
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
		_ = server.Close() // what is open is cut, and that is all
	}
	r.serving.Wait()
}
