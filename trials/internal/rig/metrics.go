// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxMetrics bounds what is read of a process's metrics.
const maxMetrics = 4 << 20

// Metric asks a process for a metric, where it serves health and metrics. A name may come
// with labels, as in listeners{state="idle"}; all series that have them are summed up.
func Metric(ctx context.Context, address, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return 0, fmt.Errorf("reading metrics: %w", err)
	}
	return metricIn(string(text), name)
}

// metricIn finds a metric in Prometheus' text format.
func metricIn(text, name string) (sum float64, err error) {
	family, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	found := false
	for line := range strings.Lines(text) {
		value, is := seriesOf(line, family, labels)
		if !is {
			continue
		}
		one, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the metric %s: %w", name, err)
		}
		sum, found = sum+one, true
	}
	if !found {
		return 0, fmt.Errorf("reading metrics: there is no %s", name)
	}
	return sum, nil
}

// seriesOf is the value of a line that is about a series of a metric which has the labels.
func seriesOf(line, family, labels string) (value string, is bool) {
	rest, is := strings.CutPrefix(line, family)
	if !is {
		return "", false
	}
	has := ""
	if end := strings.LastIndex(rest, "}"); strings.HasPrefix(rest, "{") && end > 0 {
		has, rest = rest[1:end], rest[end+1:]
	}
	words := strings.Fields(rest)
	if len(words) == 0 || !strings.HasPrefix(rest, " ") {
		return "", false
	}
	for want := range strings.SplitSeq(labels, ",") {
		if want != "" && !strings.Contains(","+has+",", ","+want+",") {
			return "", false
		}
	}
	return words[0], true
}
