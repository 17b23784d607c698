// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/service"
)

func TestMetricsTellReadiness(t *testing.T) {
	t.Parallel()
	authority, err := identity.OpenAuthority(t.TempDir(), "test")
	if err != nil {
		t.Fatal(err)
	}
	id, err := authority.Issue(identity.Vault)
	if err != nil {
		t.Fatal(err)
	}
	var fault error
	rt := service.Runtime{Metrics: prometheus.NewRegistry(), Identity: id}
	service.ExportReadiness(rt, func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a scrape may hang")
		}
		return fault
	})
	for _, want := range []float64{1, 0, 1} {
		if fault = nil; want == 0 {
			fault = errors.New("no database")
		}
		families, err := rt.Metrics.Gather()
		if err != nil || len(families) != 1 {
			t.Fatalf("%d metrics, %v", len(families), err)
		}
		metric := families[0].GetMetric()[0]
		if got, of := metric.GetGauge().GetValue(), metric.GetLabel()[0].GetValue(); got != want || of != identity.Vault {
			t.Errorf("%s is ready: %v, want %v", of, got, want)
		}
	}
}
