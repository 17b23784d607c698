// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"mailpush.internal/pkg/rpc"
)

// refusals answers requests that reach no procedure with a Connect error that says what to
// send instead.
type refusals struct {
	writer *connect.ErrorWriter
	// refused hears of each by its code.
	refused func(code string)
}

// howTo is what people with any HTTP client need to know.
const howTo = "send POST with Content-Type: application/json, and the request as a JSON object"

// write answers in the protocol of the request, and in JSON when it is none. A status that
// is not 0 says more than that of the code.
func (f refusals) write(w http.ResponseWriter, r *http.Request, status int, code connect.Code, format string, args ...any) {
	f.refused(code.String())
	err := rpc.ForCaller(r.Context(), connect.NewError(code, fmt.Errorf(format, args...)))
	if status != 0 {
		w = withStatus{w, status}
	}
	_ = f.writer.Write(w, r, err) // else the caller has gone away
}

// withStatus has its own status, whatever it is told.
type withStatus struct {
	http.ResponseWriter
	status int
}

func (w withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

// wordy puts words to what is answered by a bare status, by Connect's handlers and by the
// mux before them.
func (f refusals) wordy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&answer{ResponseWriter: w, request: r, refusals: f}, r)
	})
}

// answer is one answer under way.
type answer struct {
	http.ResponseWriter
	request  *http.Request
	refusals refusals
	begun    bool // its status is out
	replaced bool // the words of the handler do not count
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.begun || status < 200 {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.begun = true
	header := a.Header()
	switch {
	case status == http.StatusUnsupportedMediaType:
		a.replace(status, connect.CodeInvalidArgument, "Content-Type %.64q is not understood; %s", a.request.Header.Get("Content-Type"), howTo)
	case status == http.StatusMethodNotAllowed:
		a.replace(status, connect.CodeUnimplemented, "%s is not answered here; %s", a.request.Method, allowed(header.Get("Allow")))
	case header.Get(tooLargeHeader) != "":
		header.Del(tooLargeHeader)
		a.replace(http.StatusRequestEntityTooLarge, connect.CodeResourceExhausted, "%s", errTooLarge)
	default:
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) replace(status int, code connect.Code, format string, args ...any) {
	a.replaced = true
	a.Header().Del("Content-Length")
	a.refusals.write(a.ResponseWriter, a.request, status, code, format, args...)
}

// allowed says what to send where the methods are those.
func allowed(methods string) string {
	if strings.Contains(methods, http.MethodPost) {
		return howTo
	}
	return "send " + methods
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.replaced {
		return len(p), nil
	}
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush implements [http.Flusher], which streams ask for.
func (a *answer) Flush() {
	a.begun = true
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what cannot be flushed is sent at the end
}
