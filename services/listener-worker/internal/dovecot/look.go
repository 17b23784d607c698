// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"math"
	"strconv"
	"strings"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/dovecot/internal/doveadm"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// seen is a folder as doveadm showed it.
type seen struct {
	end  mailbox.End
	guid string // of the folder; another folder in its place has another
}

// look asks where the folder ends and, when that is due, how it is with its registration.
func (r *reader) look() (seen, *mailbox.Failure) {
	due := r.source.due(r.of.User, 0)
	for {
		var commands []doveadm.Command
		if due {
			commands = append(commands, doveadm.Metadata(annotation))
		}
		answers, now, failure := r.ask(append(commands, doveadm.Status())...)
		if failure != nil {
			return seen{}, failure
		}
		if due {
			return r.register(answers[0], now)
		}
		if due = r.source.due(r.of.User, now.end.UIDValidity); !due {
			r.see(now)
			return now, nil
		}
	}
}

// ask asks for commands, the last of which is for the folder's end.
func (r *reader) ask(commands ...doveadm.Command) ([]doveadm.Answer, seen, *mailbox.Failure) {
	answers, err := r.client.Ask(r.ctx, r.name, commands...)
	if err != nil {
		return nil, seen{}, classify(err)
	}
	now, failure := readStatus(answers[len(answers)-1])
	return answers, now, failure
}

// register puts the registration there if none is. Mail that came before it was is found
// by looking again: nobody has told of it.
func (r *reader) register(found doveadm.Answer, now seen) (seen, *mailbox.Failure) {
	s := r.source
	before := s.registration(r.of).state
	stands, decided := standingOf(r.of.User, found)
	set := false
	if !decided {
		if !s.cfg.Current() {
			stands = inDoubt()
		} else {
			answers, after, failure := r.ask(doveadm.SetMetadata(annotation, registrationOf(r.of.User)), doveadm.Status())
			if failure != nil {
				return seen{}, failure
			}
			stands, now, set = standing{state: mailv1.Registration_REGISTRATION_REGISTERED}, after, true
			if err := answers[0].Err; err != nil {
				stands, set = refused(err), false
			}
		}
	}
	s.count(stands, set, before)
	s.settle(r.of.User, now.end.UIDValidity, stands)
	r.see(now)
	return now, nil
}

// see keeps how the folder was seen.
func (r *reader) see(now seen) {
	r.folder = now
	r.source.saw(r.of.User, now)
}

// standingOf reads what was asked for of the annotation.
func standingOf(user mailbox.User, found doveadm.Answer) (now standing, decided bool) {
	if found.Err != nil {
		return refused(found.Err), true
	}
	value := ""
	for _, row := range found.Rows {
		value = row["value"]
	}
	return judge(user, value)
}

// refused is how it stands with a registration that Dovecot would not show or take.
func refused(err *doveadm.Error) standing {
	if err.Kind == doveadm.Impossible {
		return unsupported(err.Reason)
	}
	return unregistered(err.Reason)
}

// readStatus reads the answer to a question for the folder's end.
func readStatus(answer doveadm.Answer) (seen, *mailbox.Failure) {
	if answer.Err != nil {
		return seen{}, classify(answer.Err)
	}
	var row doveadm.Row
	for _, one := range answer.Rows {
		if name := one["mailbox"]; name == "" || strings.EqualFold(name, mailbox.Inbox) {
			row = one
		}
	}
	next, hasNext := number(row["uidnext"], math.MaxUint64)
	validity, hasValidity := number(row["uidvalidity"], math.MaxUint32)
	if !hasNext || !hasValidity || next == 0 || validity == 0 {
		return seen{}, &mailbox.Failure{Class: mailbox.ClassGarbage, Reason: "doveadm does not tell UIDNEXT and UIDVALIDITY of the folder"}
	}
	unseen, _ := number(row["unseen"], math.MaxUint64)
	return seen{mailbox.End{
		Folder: mailbox.Inbox, UIDValidity: uint32(validity),
		UIDNext: uint32(min(next, math.MaxUint32)), Unseen: uint32(min(unseen, math.MaxUint32)),
	}, row["guid"]}, nil
}

// number reads a number of at most so much.
func number(text string, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n <= most
}
