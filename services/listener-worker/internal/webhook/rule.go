// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mailpush.internal/pkg/endpoint"
	"mailpush.internal/pkg/fault"
)

// rulesKey is what the operator calls the rules.
const rulesKey = "push.webhook.rules"

// RuleFiles is what the operator says of one origin, or of all origins below a domain.
type RuleFiles struct {
	// Origin is https://host or https://host:port, in any form; *. in front of the host
	// means every host below it.
	Origin string
	// CAFile holds who may vouch for the endpoints, instead of the system's; may be empty.
	CAFile string
	// CertFile and KeyFile hold the certificate that is shown to them; both may be empty.
	CertFile, KeyFile string
}

// Rule is what holds for the endpoints of some origins.
type Rule struct {
	files  RuleFiles
	origin string // canonical, maybe with *. in front of the host
	tls    *tls.Config
	read   stamp // of the files, as they were read
}

// NewRules reads rules and their files. The error tells all that is wrong, each by its key.
// Two rules for one origin are an error, however it is written.
func NewRules(given []RuleFiles) ([]*Rule, error) {
	var errs []error
	var rules []*Rule
	known := make(map[string]int, len(given))
	for n, files := range given {
		rule, err := newRule(files)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d].%w", rulesKey, n, err))
			continue
		}
		if first, twice := known[rule.origin]; twice {
			errs = append(errs, fmt.Errorf("%s[%d].origin: %q is for the same origin as %s[%d].origin, %q: want one rule for %s",
				rulesKey, n, files.Origin, rulesKey, first, given[first].Origin, rule.origin))
			continue
		}
		known[rule.origin] = n
		rules = append(rules, rule)
	}
	return rules, errors.Join(errs...)
}

// newRule reads one rule. Its errors begin with the field.
func newRule(files RuleFiles) (*Rule, error) {
	origin, err := canonicalOrigin(files.Origin)
	if err != nil {
		return nil, err
	}
	read := files.stamp() // before: what is written meanwhile is read the next time
	config, err := files.load()
	return &Rule{files: files, origin: origin, tls: config, read: read}, err
}

// canonicalOrigin is the one form of a rule's origin. Its errors do not quote it: it may be
// a whole URL, with a secret in it.
func canonicalOrigin(origin string) (string, error) {
	const anyBelow = "https://*."
	host, wild := origin, false
	if len(origin) > len(anyBelow) && strings.EqualFold(origin[:len(anyBelow)], anyBelow) {
		host, wild = "https://"+origin[len(anyBelow):], true
	}
	if err := endpoint.CheckURL(host, false); err != nil {
		return "", fault.Field("origin", "%s; want https://host, https://host:port or https://*.domain", err)
	}
	if u, err := url.Parse(host); err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery {
		return "", fault.Field("origin", "want https://host or https://host:port, and nothing behind it")
	}
	canonical := endpoint.Origin(host)
	if !wild {
		return canonical, nil
	}
	if ofNumbers(host) {
		return "", fault.Field("origin", "there is nothing below an address; want https://*.domain")
	}
	return anyBelow + strings.TrimPrefix(canonical, "https://"), nil
}

// covers tells whether a canonical origin is one that the rule is for.
func (r *Rule) covers(origin string) bool {
	before, domain, wild := strings.Cut(r.origin, "*")
	if !wild {
		return origin == r.origin
	}
	return strings.HasPrefix(origin, before) && strings.HasSuffix(origin, domain)
}

// ofNumbers tells whether the host of a URL is an IP address, or the end of one: no name
// ends in a number.
func ofNumbers(raw string) bool {
	u, err := url.Parse(endpoint.Origin(raw))
	if err != nil {
		return true
	}
	host := u.Hostname()
	_, err = strconv.ParseUint(host[strings.LastIndexByte(host, '.')+1:], 10, 64)
	return err == nil || strings.Contains(host, ":")
}

// sorted are the rules, the most specific first: whole origins before domains, and among
// those the longer ones.
func sorted(rules []*Rule) []*Rule {
	wild := func(r *Rule) int { return strings.Count(r.origin, "*") }
	out := slices.Clone(rules)
	slices.SortStableFunc(out, func(a, b *Rule) int {
		return cmp.Or(cmp.Compare(wild(a), wild(b)), cmp.Compare(len(b.origin), len(a.origin)))
	})
	return out
}
