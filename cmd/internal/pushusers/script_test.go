// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pushusers": func() { os.Exit(Run(os.Args[1:], "v1.2.3", os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs each script of testdata/script: the command as a process of its
// own against a fake AdminService on a real port.
//
//	admin FILE [tls]       serves what FILE says; sets $SERVER, and with tls writes ca.pem;
//	                       $CAPITALS is the same server, as somebody may write it
//	exits CODE PROGRAM...  runs a program that must exit with exactly CODE
//
// UPDATE_GOLDEN=1 rewrites the golden texts inside the scripts.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(env *testscript.Env) error {
			// Else each process under the race detector lingers for a second.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"admin": startAdmin,
			"exits": exitsWith,
		},
	})
}

func startAdmin(ts *testscript.TestScript, _ bool, args []string) {
	admin, err := newFakeAdmin([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	withTLS := len(args) > 1 && args[1] == "tls"
	server := admin.serve(withTLS)
	ts.Defer(func() {
		server.CloseClientConnections()
		server.Close()
	})
	ts.Setenv("SERVER", server.URL)
	ts.Setenv("CAPITALS", strings.Replace(server.URL, "http://127.0.0.1", "HTTP://LOCALHOST", 1))
	if withTLS {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), ca, 0o600))
	}
}

func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
