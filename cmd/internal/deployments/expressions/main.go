// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

// The program expressions prints the expressions of a dashboard for Grafana as a file of
// recording rules, so that promtool, which knows no dashboards, can say what is wrong with
// one. scripts/check-alerts runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// dashboard is what of a dashboard is looked at.
type dashboard struct {
	Panels []struct {
		ID      int
		Targets []struct{ RefID, Expr string }
	}
}

// A rules file, which may be JSON: that is YAML as well.
type (
	rules struct {
		Groups []group `json:"groups"`
	}
	group struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	}
	rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: expressions DASHBOARD.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "expressions:", err)
		os.Exit(1)
	}
}

func run(name string) error {
	text, err := os.ReadFile(name) //nolint:gosec // whoever runs it names the file
	if err != nil {
		return err
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil { //nolint:musttag // of Grafana, in whose case names differ from ours alone
		return fmt.Errorf("reading %s: %w", name, err)
	}
	all := group{Name: "dashboard"}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			all.Rules = append(all.Rules, rule{fmt.Sprintf("panel_%d_%s", panel.ID, target.RefID), target.Expr})
		}
	}
	if len(all.Rules) == 0 {
		return fmt.Errorf("reading %s: it shows nothing", name)
	}
	return json.NewEncoder(os.Stdout).Encode(rules{[]group{all}})
}
