// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mailpush.internal/pkg/secret"
)

const secretPrefix = "whsec_"

var errSecret = errors.New("the signing secret is not whsec_ and base64")

// sign sets the three headers of Standard Webhooks: an HMAC-SHA256 over
// id.timestamp.body in version v1.
func sign(header http.Header, key secret.String, id string, at time.Time, body []byte) error {
	encoded, found := strings.CutPrefix(key.Reveal(), secretPrefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(raw) == 0 {
		return errSecret // err could quote the secret
	}
	mac := hmac.New(sha256.New, raw)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}
