// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Spell is a wrong answer that is given to everything for a while, a few times.
type Spell struct {
	Times  int
	Length time.Duration
}

// Spells are the wrong answers that endpoints give for a while. When each begins is drawn,
// so that it is over when the last mail has been delivered.
type Spells struct {
	NotFound         Spell // each origin: 404, as a proxy does while it deploys
	WrongCertificate Spell // each origin: its connections end, and new ones are shown a certificate that is no good
	Refusing         Spell // each endpoint by itself: 400, as a receiver with a wrong secret does
}

// wrong is a wrong answer.
type wrong int

const (
	right wrong = iota
	notFound
	wrongCertificate
	refusing
)

// window is a time in which a wrong answer is given, from the beginning of the run.
type window struct {
	what       wrong
	from, upto time.Duration
}

// spells knows who gives which wrong answer when. It is safe for concurrent use.
type spells struct {
	Spells

	seed    uint64
	length  time.Duration
	origins [][]window

	mu    sync.Mutex
	began time.Time // zero: not yet
	given map[wrong]int
}

// newSpells draws those of a run.
func newSpells(s Spells, seed uint64, length time.Duration) *spells {
	drawn := &spells{Spells: s, seed: seed, length: length, given: make(map[wrong]int)}
	for n := range origins {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		drawn.origins = append(drawn.origins, slices.Concat(
			s.WrongCertificate.draw(random, wrongCertificate, length), s.NotFound.draw(random, notFound, length)))
	}
	return drawn
}

// draw draws the windows of a wrong answer.
func (s Spell) draw(random *rand.Rand, what wrong, length time.Duration) []window {
	var drawn []window
	for range s.Times {
		from := time.Duration(random.Float64() * float64(max(length-s.Length, 0)))
		drawn = append(drawn, window{what, from, min(from+s.Length, length)})
	}
	return drawn
}

// of are the windows of one endpoint, the same whenever they are asked for.
func (s *spells) of(subscription string) []window {
	name := fnv.New64()
	_, _ = name.Write([]byte(subscription)) // a hash takes everything
	return s.Refusing.draw(rand.New(rand.NewPCG(s.seed, name.Sum64())), refusing, s.length)
}

// begin has the time of the run begin.
func (s *spells) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
}

// origin is what all endpoints of an origin answer now, and subscription what one does; the
// origin is asked first.
func (s *spells) origin(n int) wrong { return s.now(s.origins[n]) }

func (s *spells) subscription(name string) wrong { return s.now(s.of(name)) }

func (s *spells) now(all []window) wrong {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		return right
	}
	at := time.Since(s.began)
	for _, w := range all {
		if w.from <= at && at < w.upto {
			return w.what
		}
	}
	return right
}

// count counts a wrong answer that was given.
func (s *spells) count(what wrong) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given[what]++
}

// counts are how often each wrong answer was given.
func (s *spells) counts() WrongAnswers {
	s.mu.Lock()
	defer s.mu.Unlock()
	return WrongAnswers{NotFound: s.given[notFound], Refused: s.given[refusing], Certificates: s.given[wrongCertificate]}
}

// answer gives the wrong answer to a request.
func (w wrong) answer(writer http.ResponseWriter) {
	switch w {
	case notFound:
		writer.WriteHeader(http.StatusNotFound)
	case refusing:
		writer.WriteHeader(http.StatusBadRequest)
	case wrongCertificate: // on a connection of before
		cut(writer)
	case right:
	}
}
