// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package imap

import "mailpush.internal/services/listener-worker/internal/imap/internal/wire"

// oddity is a kind of response that is skipped.
type oddity int

const (
	oddUnknown      oddity = iota // data of an unknown name
	oddJunk                       // it begins like no response
	oddTag                        // it answers a command that nobody gave, or gave long ago
	oddContinuation               // it asks for more of nothing
	oddLong                       // a part of it was dropped, for it was too long
	kinds
)

// String returns the label the kind has in metrics.
func (o oddity) String() string {
	return [kinds]string{"unknown", "junk", "tag", "continuation", "long"}[o]
}

// skipped counts a response that nobody understands or asked for, and shows the first one
// of each host and kind.
func (c *conn) skipped(kind oddity, p *wire.Response) {
	c.source.metrics.skipped[kind].Inc()
	if bit := uint32(1) << kind; c.host.shown.Load()&bit == 0 && c.host.shown.Or(bit)&bit == 0 {
		c.source.cfg.Log.Info("a mail store sent what is not understood, it is skipped",
			"mail_store", c.store, "kind", kind.String(), "response", c.plain(string(p.Text())))
	}
}
