// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package pushusers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "mailpush.internal/proto/gen/mailpush/admin/v1"
)

const workersLong = `List the live workers and the scheduler that leads.

Listeners is how many the shards of a worker need, by the registry's count; it
is compared with Capacity. What each of them does, pushusers --output wide shows. The
state unread is of a worker whose keys in etcd cannot be read, as the log of the leading
scheduler says: it keeps what it runs and is given nothing.`

func (a *app) workersCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "workers",
		Short:             "List the live workers and the scheduler that leads",
		Long:              workersLong,
		Example:           "  pushusers workers",
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.listWorkers(cmd.Context()) },
	}
}

func (a *app) listWorkers(ctx context.Context) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	answer, err := call(ctx, c, c.admin.ListWorkers, &adminv1.ListWorkersRequest{})
	if err != nil {
		return err
	}
	slices.SortFunc(answer.GetWorkers(), func(x, y *adminv1.Worker) int { return naturalCompare(x.GetId(), y.GetId()) })
	if a.output == outputJSON {
		return writeJSON(a.stdout, answer)
	}
	a.writeWorkers(answer.GetWorkers())
	leader := answer.GetLeader()
	if leader == "" {
		leader = "none"
	}
	fmt.Fprintf(a.stdout, "\nLeader: %s\n", printable(leader))
	return nil
}

func (a *app) writeWorkers(workers []*adminv1.Worker) {
	if len(workers) == 0 {
		fmt.Fprintln(a.stdout, "No live workers.")
		return
	}
	columns := []column{
		{"Worker", false}, {"Address", false}, {"Backends", false}, {"Capacity", true}, {"Listeners", true},
		{"Shards", true}, {"State", false}, {"Age", true}, {"Version", false}, {"Started", false},
	}
	if a.output != outputWide {
		columns = columns[:8]
	}
	now := time.Now()
	var rows [][]string
	for _, w := range workers {
		row := []string{
			w.GetId(), orDash(w.GetAddress()), orDash(strings.Join(w.GetBackends(), ",")), count(w.GetCapacity()), count(w.GetListeners()),
			count(w.GetShards()), workerState(w), ageText(w.GetStartedAt(), now), orDash(w.GetVersion()), timeText(w.GetStartedAt()),
		}
		rows = append(rows, row[:len(columns)])
	}
	writeTable(a.stdout, columns, rows)
}

// workerState says what becomes of a worker's shards.
func workerState(w *adminv1.Worker) string {
	switch {
	case w.GetUnread():
		return "unread"
	case w.GetDraining():
		return "draining"
	default:
		return "active"
	}
}

func count(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// ageText says how long ago something began, in its two largest units. The clocks of
// two machines may differ: what began in the future has just begun.
func ageText(since *timestamppb.Timestamp, now time.Time) string {
	if since == nil {
		return "-"
	}
	age := max(now.Sub(since.AsTime()), 0)
	days, hours := int(age/(24*time.Hour)), int(age/time.Hour)%24
	minutes, seconds := int(age/time.Minute)%60, int(age/time.Second)%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
