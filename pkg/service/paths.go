// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/http"
	"path"
	"strings"
)

// cleanPaths serves //a/b as /a/b. [http.ServeMux] would answer with a redirect, which
// nobody follows who posts: callers refuse it for their password's sake, and mail stores
// lose what they had to tell. It stands in front of everything else, so that all that
// looks at a path sees the same.
func cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if clean := cleaned(r.URL.Path); clean != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = clean, ""
		}
		next.ServeHTTP(w, r)
	})
}

// cleaned is a path without empty parts and dots, as ServeMux would send callers to. It
// keeps a slash at the end, and leaves alone what is no path, as * in OPTIONS.
func cleaned(dirty string) string {
	if !strings.HasPrefix(dirty, "/") {
		return dirty
	}
	clean := path.Clean(dirty)
	if clean != "/" && strings.HasSuffix(dirty, "/") {
		clean += "/"
	}
	return clean
}
