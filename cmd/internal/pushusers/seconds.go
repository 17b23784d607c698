// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"errors"
	"strconv"
	"time"
)

// seconds is a duration on the command line: a bare number counts seconds, as in the
// original; a number with a unit is taken as it says.
type seconds time.Duration

// String implements [pflag.Value].
func (s *seconds) String() string { return time.Duration(*s).String() }

// Set implements [pflag.Value].
func (s *seconds) Set(text string) error {
	const most = 24 * 60 * 60
	var d time.Duration
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		d = time.Duration(min(n, most)) * time.Second
	} else if d, err = time.ParseDuration(text); err != nil {
		return errors.New("want seconds, or a number with a unit such as 500ms")
	}
	if d < 0 {
		return errors.New("must not be negative")
	}
	*s = seconds(d)
	return nil
}

// Type implements [pflag.Value].
func (*seconds) Type() string { return "seconds" }
