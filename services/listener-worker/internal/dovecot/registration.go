// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package dovecot

import (
	"fmt"
	"strings"

	mailv1 "mailpush.internal/proto/gen/mailpush/mail/v1"
	"mailpush.internal/services/listener-worker/internal/header"
	"mailpush.internal/services/listener-worker/internal/mailbox"
)

// annotation is where Dovecot's push_notification driver ox looks whether, and as whom, to
// tell of a mailbox.
const annotation = "/private/vendor/vendor.dovecot/http-notify"

const maxForeign = 60 // runes of another system's value that are shown

// registrationOf is what is to be there: who the mailbox belongs to in our words. Dovecot
// sends back what is behind the first =, and the hints read it with [mailbox.ParseUser].
func registrationOf(user mailbox.User) string { return "user=" + user.String() }

// judge says what a value that was found means. Without a verdict none is there, and ours
// is to be set.
func judge(user mailbox.User, found string) (now standing, decided bool) {
	switch found = strings.TrimSpace(found); found {
	case registrationOf(user):
		return standing{state: mailv1.Registration_REGISTRATION_REGISTERED}, true
	case "":
		return standing{}, false
	default:
		return standing{mailv1.Registration_REGISTRATION_FOREIGN, fmt.Sprintf(
			"another system is registered for this mailbox (%q); asking at intervals", header.Clean(found, maxForeign))}, true
	}
}

// unsupported is a mail store without METADATA.
func unsupported(reason string) standing {
	return standing{mailv1.Registration_REGISTRATION_UNSUPPORTED, fmt.Sprintf(
		"the mail store keeps no METADATA, so it cannot be told where new mail is to be announced (%s): "+
			"set mail_attribute_dict and imap_metadata as mailpush dovecot-config shows; asking at intervals", reason)}
}

// unregistered is a mailbox of which it is not known how it stands.
func unregistered(reason string) standing {
	return standing{mailv1.Registration_REGISTRATION_FAILED, "it is not known whether the mailbox is registered: " + reason + "; asking at intervals"}
}

// inDoubt is when the right to act is.
func inDoubt() standing {
	return unregistered("this worker may not act for the mailbox at the moment")
}

// count counts what became of a registration that was set or is found; before is how it was.
func (s *Source) count(now standing, set bool, before mailv1.Registration) {
	result := didFail
	switch {
	case set && before == mailv1.Registration_REGISTRATION_REGISTERED:
		result = didRepair
	case set:
		result = didSet
	case now.state == mailv1.Registration_REGISTRATION_REGISTERED:
		result = didFind
	case now.state == mailv1.Registration_REGISTRATION_FOREIGN:
		result = isForeign
	case now.state == mailv1.Registration_REGISTRATION_UNSUPPORTED:
		result = notKept
	}
	s.metrics.registrations.WithLabelValues(result).Inc()
}
