// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package userid_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"mailpush.internal/pkg/userid"
)

func TestWhatIsAnID(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(userid.Pattern)
	for id, want := range map[string]bool{
		"249": true, "a": true, "acme-x.y_z": true, "Anna": true, "anna@example.org": true, "anna+push@example.org": true,
		"o'brien@example.org": true, "!def!xyz%abc@example.org": true, "$A12345@example.org": true, "_x_@example.org": true,
		"b=c~d#e&f^g`h{i|j}k": true, "@": true, "a@b@c": true, "%40": true, strings.Repeat("9", 254): true,
		"": false, strings.Repeat("a", 255): false, " a": false, "a ": false, "a b": false, "a\n": false, "\ta": false, "a\x00": false, "a\x7f": false,
		"ännä": false, "a\xff": false, "a/b": false, "a*": false, "a?": false, `a"b`: false, `a\b`: false, "a:b": false, "a,b": false, "a;b": false,
		"<a>": false, "(a)": false, "[a]": false, "ａ": false, "a\u200b": false,
	} {
		if userid.Valid(id) != want || pattern.MatchString(id) != want {
			t.Errorf("%q: valid %v, by the pattern %v, want %v", id, userid.Valid(id), pattern.MatchString(id), want)
		}
	}
	const words = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@+=~!#$%&'^`{|}"
	for c := range 256 { // the three ways to say it must not come apart
		id := string([]byte{byte(c)})
		named := c > ' ' && strings.ContainsRune(words, rune(c))
		if userid.Valid(id) != named || pattern.MatchString(id) != named {
			t.Errorf("%q: valid %v, by the pattern %v, in words %v", id, userid.Valid(id), pattern.MatchString(id), named)
		}
	}
}

func TestUsersAreWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"249@1":                {"249", "1"},
		"anna@example.org@1":   {"anna@example.org", "1"},
		"a@b@c":                {"a@b", "c"},
		"a@b%40c":              {"a", "b@c"},
		"50%@1":                {"50%", "1"},
		"%40@1":                {"%40", "1"},
		"a@%2540":              {"a", "%40"},
		"a@%25":                {"a", "%"},
		"@@1":                  {"@", "1"},
		"Anna@ACME":            {"Anna", "ACME"},
		"a+b@example.org@c-d.": {"a+b@example.org", "c-d."},
	} {
		user, context, ok := userid.Split(text)
		if !ok || user != want[0] || context != want[1] || userid.Join(user, context) != text {
			t.Errorf("%q: %q, %q, %v", text, user, context, ok)
		}
	}
	for _, text := range []string{
		"", "@", "a", "a@", "@1", "a b@1", "a@1 ", " a@1", "a@1\n", "a@b%", "a@b%4", "a@%41", "a@%2", "a/b@1", "a@b/c", "a@\x00",
		strings.Repeat("a", 255) + "@1", "a@" + strings.Repeat("a", 255),
	} {
		if user, context, ok := userid.Split(text); ok {
			t.Errorf("%q is read as %q, %q", text, user, context)
		}
	}
}

// chars are those that encodings might take for something else, and a few others.
const chars = "aZ09.@@@%%%!+'425`{~_-"

func random(r *rand.Rand) string {
	id := make([]byte, 1+r.IntN(5))
	for i := range id {
		id[i] = chars[r.IntN(len(chars))]
	}
	return string(id)
}

func TestNoTwoUsersAreWrittenAlike(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	written := make(map[string][2]string)
	for range 50_000 {
		user, context := random(r), random(r)
		text := userid.Join(user, context)
		if was, found := written[text]; found && was != [2]string{user, context} {
			t.Fatalf("%q and %q are both written %q", was, [2]string{user, context}, text)
		}
		written[text] = [2]string{user, context}
		if u, c, ok := userid.Split(text); !ok || u != user || c != context {
			t.Fatalf("%q of %q is read back as %q of %q, %v", user, context, u, c, ok)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, text := range []string{"249@1", "a@b@c", "a@b%40c", "a@%2525", "%@%25", "@@@", "a@%254"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, context, ok := userid.Split(text)
		if ok && (!userid.Valid(user) || !userid.Valid(context) || userid.Join(user, context) != text) {
			t.Errorf("%q is read as %q, %q", text, user, context)
		}
	})
}
