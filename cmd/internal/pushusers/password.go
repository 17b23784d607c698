// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"regexp"

	"mailpush.internal/pkg/secret"
)

// passwordFlag is a password on the command line. It has no text to show.
type passwordFlag struct{ given secret.String }

// String implements [pflag.Value], for the default in the help: there is none.
func (*passwordFlag) String() string { return "" }

// anOption is what nobody means for a password: -P has swallowed what followed it.
var anOption = regexp.MustCompile(`^(--?|-[A-Za-z]|--[a-z][a-z-]+(=.*)?)$`)

// Set implements [pflag.Value].
func (p *passwordFlag) Set(text string) error {
	switch {
	case text == "":
		return errors.New("must not be empty")
	case anOption.MatchString(text):
		return errors.New("needs a value, and took the option that follows it; a password that looks like one goes into a file (--adminpass-file)")
	}
	p.given = secret.New(text)
	return nil
}

// Type implements [pflag.Value].
func (*passwordFlag) Type() string { return "password" }
