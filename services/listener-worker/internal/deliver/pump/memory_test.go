// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pump_test

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/deliver/pump"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// A thousand requests may be out: each holds the mails of its batch, not what was read
// with them nor what was cut off their texts.
func TestABatchThatIsOutHoldsNothingButItsMails(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]mailv1.Mode{"batch": mailv1.Mode_MODE_BATCH, "latest": mailv1.Mode_MODE_LATEST, "each": mailv1.Mode_MODE_EACH} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := begin(mode)
			p.Step(head(111), epoch())
			p.Step(pump.Turn{}, epoch())
			effects, texts := readLong(p)
			send, _ := effects[len(effects)-1].(pump.Send)
			if n := len(send.Batch.Mails); n == 0 || cap(send.Batch.Mails) > 2*n {
				t.Errorf("%d mails are out in an array of %d", n, cap(send.Batch.Mails))
			}
			runtime.GC()
			for i, text := range texts {
				if text.Value() != nil {
					t.Fatalf("the whole subject of mail %d is held", i)
				}
			}
			runtime.KeepAlive(p)
			runtime.KeepAlive(send)
		})
	}
}

// readLong gives a pump a hundred mails with subjects that are too long.
func readLong(p *pump.Pump) ([]pump.Effect, []weak.Pointer[byte]) {
	event := fetched(11, 110)
	var texts []weak.Pointer[byte]
	for uid := range uint32(100) {
		subject := strings.Repeat("x", 8000)
		texts = append(texts, weak.Make(unsafe.StringData(subject)))
		event.Mails = append(event.Mails, mailbox.Mail{UID: 11 + uid, Subject: subject})
	}
	return p.Step(event, epoch()), texts
}
