// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import (
	"fmt"
	"strings"

	"mailpush.internal/services/listener-worker/internal/imap/internal/wire"
	"mailpush.internal/services/listener-worker/internal/listen"
)

var _ listen.Annotator = (*conn)(nil)

// Annotation implements [listen.Annotator] (RFC 5464 section 4.2).
func (c *conn) Annotation(name string) (string, error) {
	value := ""
	err := c.annotate(`GETMETADATA "" (`+name+`)`, func(p *wire.Response) {
		if !p.Is("METADATA") {
			return
		}
		if told, ok := p.Annotation(name); ok {
			value = string(told)
		}
	})
	return value, err
}

// SetAnnotation implements [listen.Annotator] (RFC 5464 section 4.3).
func (c *conn) SetAnnotation(name, value string) error {
	told := "NIL"
	if value != "" {
		told = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	return c.annotate(`SETMETADATA "" (`+name+` `+told+`)`, nil)
}

func (c *conn) annotate(text string, each func(*wire.Response)) error {
	c.wake()
	defer c.rest()
	c.begin(stepMetadata, smallAnswer)
	cmd := &command{text: text}
	if err := c.ask(each, cmd); err != nil {
		return c.classify(err)
	}
	if cmd.err != nil {
		return fmt.Errorf("%w: %s", listen.ErrNoAnnotations, withText("it refuses METADATA", cmd.err))
	}
	return nil
}
