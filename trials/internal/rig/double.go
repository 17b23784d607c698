// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"mailpush.internal/pkg/imaptest"
	"mailpush.internal/pkg/proctest"
)

const (
	// doubleRole as first argument makes a copy of this program a mail store.
	doubleRole = "rig-imap-double"
	doubleName = "Double"

	// mailStep is how often mail is delivered that has a pace.
	mailStep = 10 * time.Millisecond
)

// Double is a mail store for tens of thousands of listeners, in a process of its own: what
// it costs is not the worker's. It uses one processor at most.
type Double struct {
	Store Store // where it is

	process *proctest.Process
	client  *rpc.Client
}

// Role runs this process as the child it was started as. played is false when it is none.
func Role(args []string, stdout, stderr io.Writer) (code int, played bool) {
	if len(args) < 2 || args[1] != doubleRole {
		return 0, false
	}
	if len(args) != 3 {
		fmt.Fprintln(stderr, "usage:", doubleRole, "DIR")
		return 2, true
	}
	runtime.GOMAXPROCS(1)
	if err := serveDouble(args[2], stdout); err != nil {
		fmt.Fprintln(stderr, doubleRole+":", err)
		return 1, true
	}
	return 0, true
}

func caIn(dir string) string     { return filepath.Join(dir, "imap-ca.crt") }
func socketIn(dir string) string { return filepath.Join(dir, "imap-double.sock") }

// serveDouble plays the mail store until it is told to end. It writes its address to
// stdout once it can be told what to do.
func serveDouble(dir string, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	many, err := imaptest.NewMany(imaptest.ManyOptions{Chain: true, Cold: true})
	if err != nil {
		return err
	}
	if err := os.WriteFile(caIn(dir), many.CA(), 0o600); err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName(doubleName, &doubleServer{many}); err != nil {
		return err
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "unix", socketIn(dir))
	if err != nil {
		return err
	}
	go server.Accept(socket)
	fmt.Fprintln(stdout, many.Addr())
	<-ctx.Done()
	return errors.Join(socket.Close(), many.Close())
}

// doubleServer is what a Double can be told.
type doubleServer struct{ many *imaptest.Many }

// Mailing is mail for some mailboxes, one for each.
type Mailing struct {
	First, Boxes int // the first mailbox, and how many from there
	PerSecond    int // 0: as fast as can be
}

// Deliver delivers the mails of a mailing.
func (d *doubleServer) Deliver(mailing Mailing, sent *int) error {
	tick := time.NewTicker(mailStep)
	defer tick.Stop()
	for begun := time.Now(); *sent < mailing.Boxes; {
		due := mailing.Boxes
		if mailing.PerSecond > 0 {
			due = min(due, 1+int(time.Since(begun).Seconds()*float64(mailing.PerSecond)))
		}
		for ; *sent < due; *sent++ {
			d.many.DeliverTo(Box(mailing.First + *sent))
		}
		if *sent < mailing.Boxes {
			<-tick.C
		}
	}
	return nil
}

// Say says something to all that are in IDLE.
func (d *doubleServer) Say(text string, told *int) error {
	*told = d.many.Say(text)
	return nil
}

// GiveTickets says whether handshakes from now on are given session tickets.
func (d *doubleServer) GiveTickets(give bool, given *bool) error {
	d.many.GiveTickets(give)
	*given = give
	return nil
}

// Counts tells what the mail store has seen.
func (d *doubleServer) Counts(_ bool, counts *imaptest.ManyCounts) error {
	*counts = d.many.Counts()
	return nil
}

// StartDouble starts one that keeps its files in dir. It presents a chain of certificates
// as long as a large provider's, and every handshake with it is a full one.
func StartDouble(ctx context.Context, dir string) (_ *Double, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	said := make(chan string, 1)
	d := &Double{Store: Store{CAFile: caIn(dir)}}
	d.process, err = proctest.Start(proctest.Command{
		Path: self, Args: []string{doubleRole, dir}, Name: "the IMAP double", Log: filepath.Join(dir, "imap-double.log"),
		Look: func(line []byte) {
			select {
			case said <- string(line):
			default: // the address is the first line
			}
		},
	})
	if err != nil {
		return nil, err
	}
	select {
	case d.Store.Address = <-said:
	case <-d.process.Ended():
		return nil, fmt.Errorf("starting %s: %s", d.process.Name(), d.process.Log())
	case <-ctx.Done():
		d.process.Kill()
		return nil, ctx.Err()
	}
	if d.client, err = rpc.Dial("unix", socketIn(dir)); err != nil {
		d.process.Kill()
		return nil, fmt.Errorf("starting %s: %w", d.process.Name(), err)
	}
	return d, nil
}

// Close ends the mail store and all connections to it.
func (d *Double) Close() error { return errors.Join(d.client.Close(), d.process.Stop()) }

// Deliver delivers the mails of a mailing, and returns when the last one is announced.
func (d *Double) Deliver(mailing Mailing) error {
	var sent int
	return d.call("Deliver", mailing, &sent)
}

// Say says something to all that are in IDLE, in one TLS record where it fits, and returns
// how many they are.
func (d *Double) Say(text string) (int, error) {
	var told int
	err := d.call("Say", text, &told)
	return told, err
}

// GiveTickets says whether handshakes from now on are given session tickets, and may
// resume sessions.
func (d *Double) GiveTickets(give bool) error {
	var given bool
	return d.call("GiveTickets", give, &given)
}

// Counts tells what the mail store has seen.
func (d *Double) Counts() (imaptest.ManyCounts, error) {
	var counts imaptest.ManyCounts
	err := d.call("Counts", true, &counts)
	return counts, err
}

func (d *Double) call(what string, args, reply any) error {
	if err := d.client.Call(doubleName+"."+what, args, reply); err != nil {
		return fmt.Errorf("telling %s to %s: %w", d.process.Name(), what, err)
	}
	return nil
}
