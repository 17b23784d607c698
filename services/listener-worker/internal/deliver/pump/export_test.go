// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump

import (
	"unsafe"

	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// SizeOf is how many bytes a pump takes, with what it alone refers to.
func SizeOf(p *Pump) uintptr {
	size := unsafe.Sizeof(*p)
	if p.health != nil {
		size += unsafe.Sizeof(*p.health) + uintptr(len(p.health.reason))
	}
	if p.health != nil && p.health.absence != nil {
		size += unsafe.Sizeof(*p.health.absence)
	}
	if p.doubt != nil {
		size += unsafe.Sizeof(*p.doubt) + uintptr(cap(p.doubt.suspects))*unsafe.Sizeof(suspect{})
	}
	if p.hindered != nil {
		size += unsafe.Sizeof(*p.hindered) + uintptr(len(p.hindered.reason))
	}
	if p.noticed != nil {
		size += unsafe.Sizeof(*p.noticed)
	}
	if p.unannounced != nil {
		size += unsafe.Sizeof(*p.unannounced)
	}
	if p.page != nil {
		size += unsafe.Sizeof(*p.page) + uintptr(cap(p.page.mails))*unsafe.Sizeof(mailbox.Mail{})
	}
	if p.tally != nil {
		size += unsafe.Sizeof(*p.tally)
	}
	return size
}
