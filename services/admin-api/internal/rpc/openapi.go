// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"mailpush.internal/proto/gen/openapi"
)

// openAPIPath is where the OpenAPI document is.
const openAPIPath = "/openapi.json"

// openAPI serves the OpenAPI document of the public services. It is the contract, which
// everybody may read without credentials.
func openAPI() http.Handler {
	sum := sha256.Sum256([]byte(openapi.Document()))
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache") // it may be of another release by now
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(openapi.Document()))
	})
}
