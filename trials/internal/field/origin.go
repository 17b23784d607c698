// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mailpush.internal/pkg/pushtest"
)

// mood is what an endpoint answers to a push, as a status; hang is no answer at all.
type mood func(push *pushtest.Push) int

const hang = 0

// always is a mood that does not change.
func always(status int) mood { return func(*pushtest.Push) int { return status } }

// expecting is the mood of a receiver that verifies with a secret.
func expecting(secret string) mood {
	return func(push *pushtest.Push) int {
		if push.Verify(secret) != nil {
			return http.StatusBadRequest
		}
		return http.StatusOK
	}
}

// origin is a server with the endpoints of several tenants, one at each path. It can be
// away, and come back where it was. It is safe for concurrent use.
type origin struct {
	address string

	mu       sync.Mutex
	server   *pushtest.Receiver // nil while it is away
	moods    map[string]mood    // by path; none: it accepts
	accepted map[string]map[uint32]time.Time
	refused  map[string]int // pushes that were not accepted, by path
}

// newOrigin starts one on an address of a loopback host, which should be one that
// connections do not come from: the address must still be free when the origin is back.
func newOrigin(host string) (*origin, error) {
	o := &origin{address: net.JoinHostPort(host, "0"), moods: make(map[string]mood), accepted: make(map[string]map[uint32]time.Time), refused: make(map[string]int)}
	if err := o.comeBack(); err != nil {
		return nil, err
	}
	o.address = strings.TrimPrefix(o.server.URL(), "http://") // where it comes back, too
	return o, nil
}

// url is where an endpoint is.
func (o *origin) url(path string) string { return "http://" + o.address + "/" + path }

// comeBack has the origin answer from now on.
func (o *origin) comeBack() error {
	server, err := pushtest.New(pushtest.Options{Address: o.address, Answer: o.answer, Forget: true})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.server = server
	return nil
}

// goAway has connections to the origin refused from now on, and ends those there are.
func (o *origin) goAway() {
	o.mu.Lock()
	server := o.server
	o.server = nil
	o.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

// set gives endpoints a mood; nil: they accept.
func (o *origin) set(m mood, paths ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, path := range paths {
		o.moods[path] = m
	}
}

func (o *origin) answer(w http.ResponseWriter, request *http.Request, push *pushtest.Push) {
	o.mu.Lock()
	mood := o.moods[push.Path]
	o.mu.Unlock()
	status := http.StatusOK
	if mood != nil {
		status = mood(push)
	}
	switch status {
	case http.StatusOK:
		o.accept(push)
		pushtest.Accept(w, request, push)
	case hang:
		<-request.Context().Done()
	default:
		o.refuse(push)
		w.WriteHeader(status)
	}
}

// accept notes when mails were accepted first.
func (o *origin) accept(push *pushtest.Push) {
	o.mu.Lock()
	defer o.mu.Unlock()
	mails := o.accepted[push.Path]
	if mails == nil {
		mails = make(map[uint32]time.Time)
		o.accepted[push.Path] = mails
	}
	for _, event := range push.Data.Events {
		if mails[event.UID].IsZero() {
			mails[event.UID] = time.Now()
		}
	}
}

func (o *origin) refuse(push *pushtest.Push) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused[push.Path]++
}

// refusals counts the endpoints that have refused something.
func (o *origin) refusals(paths []string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, path := range paths {
		if o.refused[path] > 0 {
			n++
		}
	}
	return n
}

// missing counts the mails up to a UID that endpoints have not accepted.
func (o *origin) missing(upto uint32, paths []string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, path := range paths {
		for uid := uint32(1); uid <= upto; uid++ {
			if o.accepted[path][uid].IsZero() {
				n++
			}
		}
	}
	return n
}

// lack counts the endpoints that have not accepted a mail.
func (o *origin) lack(uid uint32, paths []string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, path := range paths {
		if o.accepted[path][uid].IsZero() {
			n++
		}
	}
	return n
}

// latest is when a mail was accepted by the last of endpoints, of those that have.
func (o *origin) latest(uid uint32, paths []string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	var last time.Time
	for _, path := range paths {
		if at := o.accepted[path][uid]; at.After(last) {
			last = at
		}
	}
	return last
}

// await waits until endpoints have accepted all mails up to a UID.
func (o *origin) await(ctx context.Context, within time.Duration, upto uint32, paths []string) error {
	return await(ctx, fmt.Sprintf("mail %d at %d endpoints", upto, len(paths)), within, func(context.Context) error {
		if n := o.missing(upto, paths); n > 0 {
			return fmt.Errorf("%d mails have not been accepted", n)
		}
		return nil
	})
}
