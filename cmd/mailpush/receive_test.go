// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What comes is printed and accepted; it ends after as many pushes as it was told.
func TestReceive(t *testing.T) {
	t.Parallel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		root := command()
		root.SetArgs([]string{"receive", "--listen", "127.0.0.1:0", "--count", "2"})
		root.SetOut(in)
		err := root.ExecuteContext(t.Context())
		_ = in.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	_, url, _ := strings.Cut(lines.Text(), "accepting pushes at ")
	answers := make(chan string, 3)
	go func() {
		for _, body := range []string{`{"type":"ping","data":{}}`, `{"type":"mail:new","data":{"count":1}}`, "no JSON"} {
			answers <- post(t, url, body)
		}
	}()
	var printed strings.Builder
	for lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
	}
	for _, want := range []string{`"type": "ping"`, `"count": 1`, `no push: "no JSON"`} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("lacks %q:\n%s", want, printed.String())
		}
	}
	for range 2 {
		if answer := <-answers; answer != "204 No Content" && answer != "200 OK" {
			t.Errorf("a push was answered with %s", answer)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func post(t *testing.T, url, body string) string {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Sprint(err)
	}
	_ = response.Body.Close()
	return response.Status
}

func TestReceiveSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--count -1: want 0": {"--count", "-1"},
		"nowhere":            {"--listen", "nowhere"},
	} {
		if _, err := execute(t, "", append([]string{"receive"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}
