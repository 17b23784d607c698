// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/rpc"
	"mailpush.internal/pkg/service"
	"mailpush.internal/proto/gen/mailpush/push/v1/pushv1connect"
	"mailpush.internal/proto/gen/mailpush/registry/v1/registryv1connect"
)

// bomb becomes a gibibyte when it is uncompressed.
func bomb(t *testing.T) []byte {
	t.Helper()
	const member, members = 16 << 20, 64
	var one bytes.Buffer
	packer := gzip.NewWriter(&one)
	if _, err := packer.Write(make([]byte, member)); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(one.Bytes(), members)
}

// enveloped is a compressed message of a stream.
func enveloped(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(message))), message...)
}

// ports serves what the handlers of our ports are made of, and returns the addresses: of
// health and metrics, of calls by the public, and of calls between services. Whoever calls
// is taken for one who may.
func ports(t *testing.T) map[string][]string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	ops := service.OpsHandler(service.Runtime{Metrics: prometheus.NewRegistry()}, func(context.Context) error { return nil }, pushv1connect.PushServiceName)
	public, internal := http.NewServeMux(), http.NewServeMux()
	public.Handle(pushv1connect.NewPushServiceHandler(pushv1connect.UnimplementedPushServiceHandler{},
		append(rpc.HandlerOptions(log, rpc.MaxPublicBytes), rpc.PublicJSON(), rpc.BoundedGzip(rpc.MaxPublicBytes, tooLarge))...))
	service.MountHealth(public, func(context.Context) error { return nil }, pushv1connect.PushServiceName)
	internal.Handle(registryv1connect.NewRegistryServiceHandler(registryv1connect.UnimplementedRegistryServiceHandler{},
		rpc.HandlerOptions(log, rpc.MaxInternalBytes)...))

	const health, nothing = "/grpc.health.v1.Health/Check", "/nothing"
	paths := make(map[string][]string)
	for _, port := range []struct {
		what    string
		handler http.Handler
		paths   []string
	}{
		{"ops", ops, []string{
			health, "/grpc.health.v1.Health/Watch", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/metrics", "/healthz", "/readyz", nothing,
		}},
		{"public", bounded(public), []string{health, pushv1connect.PushServiceSubscribeProcedure, nothing}},
		{"internal", internal, []string{registryv1connect.RegistryServiceCommitCursorsProcedure, nothing}},
	} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() { ended <- service.Serve(ctx, log, port.what, l, nil, port.handler) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		for _, path := range port.paths {
			paths[port.what] = append(paths[port.what], "http://"+l.Addr().String()+path)
		}
	}
	return paths
}

// allocated is how much has ever been put on the heap.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// A little that becomes much is refused by every handler of every port, and at once: what a
// request puts on the heap, even to be thrown away, is less than 16 MiB.
func TestBombsAreRefusedAtEveryPort(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	const most = 16 << 20
	packed := bomb(t)
	plays := map[string]struct {
		kind, encoding string
		body           []byte
	}{
		"Connect, JSON":         {"application/json", "Content-Encoding", packed},
		"Connect, protobuf":     {"application/proto", "Content-Encoding", packed},
		"Connect, a stream":     {"application/connect+proto", "Connect-Content-Encoding", enveloped(packed)},
		"gRPC":                  {"application/grpc", "Grpc-Encoding", enveloped(packed)},
		"gRPC-Web":              {"application/grpc-web+proto", "Grpc-Encoding", enveloped(packed)},
		"gRPC, encoded as HTTP": {"application/grpc", "Content-Encoding", packed},
	}
	said := regexp.MustCompile(`(?i)grpc-status: ?(3|8|12)\b|"code":"(invalid_argument|resource_exhausted|unimplemented)"`)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for port, urls := range ports(t) {
		for _, url := range urls {
			for name, play := range plays {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(play.body))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", play.kind)
				request.Header.Set(play.encoding, "gzip")
				request.Header.Set("Te", "trailers")
				before := allocated()
				response, err := client.Do(request)
				if err != nil {
					t.Errorf("%s, %s, %s: %v", port, url, name, err)
					continue
				}
				body, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if grew := allocated() - before; grew >= most {
					t.Errorf("%s, %s, %s: %d MiB were allocated", port, url, name, grew>>20)
				}
				status := slices.Concat(response.Header.Values("Grpc-Status"), response.Trailer.Values("Grpc-Status"))
				refused := response.StatusCode >= http.StatusBadRequest || said.Match(body) ||
					len(status) > 0 && said.MatchString("grpc-status: "+status[0])
				if err != nil || !refused {
					t.Errorf("%s, %s, %s: %s, %q, %q, %v", port, url, name, response.Status, status, body, err)
				}
			}
		}
	}
}

// What a request becomes is bounded where plain ones may be larger, and told as such.
func TestABombBetweenServicesIsResourceExhausted(t *testing.T) {
	t.Parallel()
	url := ports(t)["internal"][0]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(bomb(t)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/proto")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(body, []byte(connect.CodeResourceExhausted.String())) {
		t.Errorf("%s: %s, %v", response.Status, body, err)
	}
}
