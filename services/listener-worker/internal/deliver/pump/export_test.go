// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"unsafe"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// SizeOf is how many bytes a pump takes, with what it alone refers to.
func SizeOf(p *Pump) uintptr {
	size := unsafe.Sizeof(*p) + uintptr(len(p.health.reason)) + uintptr(cap(p.page.mails))*unsafe.Sizeof(mailbox.Mail{})
	if p.tally != nil {
		size += unsafe.Sizeof(*p.tally)
	}
	return size
}
