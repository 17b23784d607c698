// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// mount has handler serve the procedures of a service, and nothing else below its path.
func mount(mux *http.ServeMux, service protoreflect.ServiceDescriptor, handler http.Handler) {
	for i := range service.Methods().Len() {
		mux.Handle(fmt.Sprintf("/%s/%s", service.FullName(), service.Methods().Get(i).Name()), handler)
	}
}

// unknown answers calls of procedures that do not exist, in the protocol they are made
// in: a client that is ahead of this server reads what it has asked for too early.
// Whatever is no call is not found.
func (f refusals) unknown(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && f.writer.IsSupported(r) {
		f.write(w, r, 0, connect.CodeUnimplemented, "there is no procedure %s", r.URL.Path)
		return
	}
	f.write(w, r, http.StatusNotFound, connect.CodeNotFound,
		"there is nothing at %.256q; %s, to /<service>/<procedure> as in %s", r.URL.Path, howTo, openAPIPath)
}
