// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// wellFormed makes answers as RFC 9051 has them, in all the ways it allows, out of
// chance.
type wellFormed struct{ chance func(n int) int }

func (w wellFormed) text(most int) string {
	const letters = "abc XYZ 019 ()[]{}<>\\\"*%+-=?éß\r\n"
	runes := []rune(letters)
	var out strings.Builder
	for range w.chance(most) {
		out.WriteRune(runes[w.chance(len(runes))])
	}
	return out.String()
}

// str writes a string as a literal, or quoted where that is allowed.
func (w wellFormed) str(s string) string {
	if strings.ContainsAny(s, "\r\né ß") || w.chance(2) == 0 {
		return fmt.Sprintf("{%d}\r\n%s", len(s), s)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// fetch is a FETCH response for a mail with a header.
func (w wellFormed) fetch(seq, uid uint32, header string) string {
	date := time.Unix(int64(w.chance(2_000_000_000)), 0).In(time.FixedZone("", 60*(w.chance(1440)-720))).Format("_2-Jan-2006 15:04:05 -0700")
	items := []string{
		fmt.Sprintf("UID %d", uid),
		fmt.Sprintf("RFC822.SIZE %d", w.chance(1<<40)),
		fmt.Sprintf("INTERNALDATE %q", date),
		"BODY[HEADER.FIELDS (" + []string{"FROM SUBJECT DATE", `"FROM" "SUBJECT"`, "from"}[w.chance(3)] + ")]<0> " + w.str(header),
		"FLAGS (" + []string{"", `\Seen`, `\Seen $Junk \Answered`}[w.chance(3)] + ")",
		"MODSEQ (12)",
		"ENVELOPE (" + w.str("date") + " " + w.str(w.plain()) + ` ((` + w.str(w.plain()) + ` NIL "a" "b")) NIL NIL NIL NIL NIL NIL ` + w.str("<id>") + ")",
	}
	for i := range items[1:] { // go-imap knows a mail only if its UID comes before its literals
		j := w.chance(i + 1)
		items[i+1], items[j+1] = items[j+1], items[i+1]
	}
	return fmt.Sprintf("* %d FETCH (%s)\r\n", seq, strings.Join(items, " "))
}

// plain is text that a header may hold.
func (w wellFormed) plain() string {
	return strings.NewReplacer("\r", "", "\n", "", "=?", "").Replace(w.text(20))
}

// aMail is what both readers are to find.
type aMail struct {
	uid    uint32
	size   int64
	date   int64
	header string
}

// differ has both readers read the same, and compares.
func differ(t *testing.T, chance func(n int) int) {
	t.Helper()
	w := wellFormed{chance}
	var fetches strings.Builder
	uid := uint32(0)
	for seq := range uint32(chance(5)) {
		uid += 1 + uint32(chance(1000))
		if chance(4) == 0 {
			fmt.Fprintf(&fetches, "* %d RECENT\r\n", chance(9))
		}
		fetches.WriteString(w.fetch(seq+1, uid, w.text(60)))
	}
	status := fmt.Sprintf("* STATUS %s (UIDNEXT %d UNSEEN %d UIDVALIDITY %d)\r\n", w.str("INBOX"), 1+chance(1<<31), chance(1<<31), 1+chance(1<<31))
	search := "* SEARCH"
	for range chance(20) {
		search += fmt.Sprintf(" %d", 1+chance(1<<31))
	}
	oracle := readByOracle(t, fetches.String(), status, search+"\r\n")
	ours := readByUs(t, fetches.String()+status+search+"\r\n")
	if !slices.Equal(oracle.mails, ours.mails) {
		t.Errorf("%q\nis read as %+v\nnot as      %+v", fetches.String(), ours.mails, oracle.mails)
	}
	if oracle.status != ours.status {
		t.Errorf("%q is read as %+v, not %+v", status, ours.status, oracle.status)
	}
	if !slices.Equal(oracle.found, ours.found) {
		t.Errorf("%q is read as %v, not %v", search, ours.found, oracle.found)
	}
}

type understood struct {
	mails  []aMail
	status [3]uint32
	found  []uint32
}

func readByUs(t *testing.T, in string) understood {
	t.Helper()
	var got understood
	r := newReader(256 << 10)
	r.Allow(1<<30, 256<<10)
	feed(t, r, in, 777, func(p Response) {
		switch {
		case p.Is("FETCH"):
			f := p.Fetch()
			date, err := time.Parse("_2-Jan-2006 15:04:05 -0700", string(f.Date))
			if err != nil {
				t.Errorf("date %q", f.Date)
			}
			got.mails = append(got.mails, aMail{uint32(f.UID), int64(f.Size), date.Unix(), string(f.Header)})
		case p.Is("STATUS"):
			s := p.StatusData()
			got.status = [3]uint32{uint32(s.UIDNext), uint32(s.UIDValidity), uint32(s.Unseen)}
		case p.Is("SEARCH"):
			p.Numbers(func(n, _ uint64) bool { got.found = append(got.found, uint32(n)); return true })
		}
	})
	slices.Sort(got.found)
	got.found = slices.Compact(got.found)
	return got
}

// readByOracle reads with go-imap.
func readByOracle(t *testing.T, fetches, status, search string) understood {
	t.Helper()
	ours, theirs := net.Pipe()
	client := imapclient.New(theirs, nil)
	defer func() { _ = client.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = ours.Close() }()
		lines := bufio.NewScanner(ours)
		_, _ = io.WriteString(ours, "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n") // the client sees the end
		for _, answer := range []string{"", fetches, status, search} {
			if !lines.Scan() {
				return
			}
			tag, command, _ := strings.Cut(lines.Text(), " ")
			if strings.HasPrefix(command, "EXAMINE") || strings.HasPrefix(command, "SELECT") {
				answer = "* 9 EXISTS\r\n"
			}
			_, _ = io.WriteString(ours, answer+tag+" OK done\r\n")
		}
	}()
	got, err := ask(client)
	if err != nil {
		t.Fatalf("go-imap does not understand\n%q\n%q\n%q: %v", fetches, status, search, err)
	}
	_ = client.Close()
	<-done
	return got
}

func ask(client *imapclient.Client) (understood, error) {
	var got understood
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		return got, err
	}
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"From"}}
	var all imap.UIDSet
	all.AddRange(1, 0)
	mails, err := client.Fetch(all, &imap.FetchOptions{UID: true, RFC822Size: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return got, err
	}
	for _, mail := range mails {
		m := aMail{uid: uint32(mail.UID), size: mail.RFC822Size, date: mail.InternalDate.Unix()}
		for _, section := range mail.BodySection {
			m.header = string(section.Bytes)
		}
		got.mails = append(got.mails, m)
	}
	status, err := client.Status("INBOX", &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
	if err != nil {
		return got, err
	}
	got.status = [3]uint32{uint32(status.UIDNext), status.UIDValidity, *status.NumUnseen}
	found, err := client.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return got, err
	}
	for _, uid := range found.AllUIDs() {
		got.found = append(got.found, uint32(uid))
	}
	slices.Sort(got.found)
	return got, nil
}

func TestWellFormedAnswersAreReadAsGoIMAPReadsThem(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		differ(t, rand.New(rand.NewPCG(seed, 7)).IntN)
	}
}

func FuzzAgainstGoIMAP(f *testing.F) {
	f.Add([]byte{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6})
	f.Fuzz(func(t *testing.T, seed []byte) {
		differ(t, func(n int) int {
			if len(seed) == 0 || n <= 0 {
				return 0
			}
			b := int(seed[0])
			seed = seed[1:]
			return b * 1_000_003 % n
		})
	})
}
