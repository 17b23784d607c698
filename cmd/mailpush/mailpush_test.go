// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailpush.internal/pkg/identity"
	"mailpush.internal/pkg/secret"
	adminapi "mailpush.internal/services/admin-api"
)

// The demo checks what it shows; here it must also leave nothing behind and complain of
// no error. On a busy machine it may warn of what is slow.
func TestDemoEndsWithItsTime(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, complaints bytes.Buffer
	if err := demo(t.Context(), &out, &complaints); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &complaints)
	}
	if !regexp.MustCompile(`\ndemo: mail to push in \d+ ms\n$`).Match(out.Bytes()) {
		t.Errorf("the last line is not the time:\n%s", &out)
	}
	if !strings.Contains(out.String(), "Context  User  Permanent\n      1  249   true\n") {
		t.Errorf("the pushusers table is missing:\n%s", &out)
	}
	if strings.Contains(complaints.String(), "level=ERROR") {
		t.Errorf("standard error:\n%s", &complaints)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Whoever subscribes the demo receiver a second time waits for nobody to look at pings.
func TestReceiverAnswersEveryPing(t *testing.T) {
	t.Parallel()
	r, err := newReceiver("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	for range 3 {
		body := strings.NewReader(`{"type":"ping","data":{"challenge":"so be it"}}`)
		answer, err := http.Post(r.url, "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK || string(said) != "so be it" {
			t.Fatalf("%d %q, %v", answer.StatusCode, said, err)
		}
	}
}

// execute runs the command line args with stdin and returns standard output.
func execute(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := command()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCertsAreIdentitiesAndCanBeRenewed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		if _, err := execute(t, "", "certs", "--out", dir, "--cluster", "blue"); err != nil {
			t.Fatal(err)
		}
		for _, service := range identity.Services() {
			files := identity.Files{
				CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, service+".crt"), Key: filepath.Join(dir, service+".key"),
			}
			if _, err := identity.Load("blue", service, files); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
	}
	if _, err := execute(t, "", "certs"); err == nil || !strings.Contains(err.Error(), "out") {
		t.Errorf("certs without --out: %v", err)
	}
}

func TestHashesFitTheConfiguration(t *testing.T) {
	t.Parallel()
	hash, err := execute(t, "correct horse\r\n", "hash-password")
	if err != nil || adminapi.CheckPasswordHash(strings.TrimSpace(hash)) != nil {
		t.Errorf("hash-password: %q, %v", hash, err)
	}
	if _, err := execute(t, "\n", "hash-password"); err == nil {
		t.Error("hash-password took an empty password")
	}
	out, err := execute(t, "", "new-token")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`^token:     (mpt_\S+)\ntokenHash: (\S+)\n$`).FindStringSubmatch(out)
	if len(lines) != 3 || adminapi.HashToken(secret.New(lines[1])) != lines[2] {
		t.Errorf("new-token printed %q", out)
	}
}

func TestSettingsPrintsTheTable(t *testing.T) {
	t.Parallel()
	out, err := execute(t, "", "settings")
	if err != nil || !strings.Contains(out, "| `push.allowPermanentPush` | true |") {
		t.Errorf("settings: %v\n%s", err, out)
	}
}
