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

// Metric asks a process for a metric without labels, where it serves health and metrics.
func Metric(ctx context.Context, address, name string) (float64, error) {
	text, err := metrics(ctx, address)
	if err != nil {
		return 0, err
	}
	return metricIn(text, name)
}

// MetricSum asks for a metric with labels, and adds it up over all of them.
func MetricSum(ctx context.Context, address, name string) (float64, error) {
	text, err := metrics(ctx, address)
	if err != nil {
		return 0, err
	}
	return sumIn(text, name)
}

func metrics(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("reading metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return "", fmt.Errorf("reading metrics: %w", err)
	}
	return string(text), nil
}

// metricIn finds a metric without labels in Prometheus' text format.
func metricIn(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name {
			value, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				return 0, fmt.Errorf("reading the metric %s: %w", name, err)
			}
			return value, nil
		}
	}
	return 0, fmt.Errorf("reading metrics: there is no %s", name)
}

// sumIn adds up a metric with labels in Prometheus' text format.
func sumIn(text, name string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, is := strings.CutPrefix(line, name+"{")
		if !is {
			continue
		}
		words := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(words) == 0 {
			return 0, fmt.Errorf("reading the metric %s: no value in %q", name, line)
		}
		value, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			return 0, fmt.Errorf("reading the metric %s: %w", name, err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("reading metrics: there is no %s", name)
	}
	return sum, nil
}
