// SPDX-FileCopyrightText: The mailpush authors
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	_ "embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

//go:embed house.txt
var house string

// Table is house.txt, read.
type Table struct {
	// Services are those of the workspace with their halls, in the file's order.
	Services []Service

	rooms        map[string]Room // by path below the repository
	ranks        map[string]rank
	technologies []technology
	tests        []string // the technologies that any test may use
}

// Service is a service and its halls.
type Service struct {
	Name  string
	Halls []Hall
}

// Hall is a group of packages of a service that serve one purpose.
type Hall struct {
	Name  string
	Rooms []Room
}

// Room is a row: a package, and what it may import.
type Room struct {
	// Path is that of the package below the repository. It ends in /... where the row
	// stands for all packages below it that have none of their own.
	Path string
	Rank string
	// group is the service or module the row is in, as a path below the repository.
	group            string
	imports, outside []string
}

// rank is what packages of one kind may do; * is everything.
type rank struct{ imports, free, named []string }

// technology is a name for packages of the outside world.
type technology struct {
	name     string
	packages []string
}

// ForTests reports whether the package of an import path is a test kit or a trial: what
// serves tests and measurements alone.
func (t Table) ForTests(importPath string) bool {
	room, ok := t.room(strings.TrimPrefix(importPath, Prefix))
	return ok && (room.Rank == "kit" || room.Rank == "trial")
}

// Read reads the table of this repository.
func Read() (Table, error) { return parse(house) }

func parse(text string) (Table, error) {
	r := reader{table: Table{rooms: map[string]Room{}, ranks: map[string]rank{}}}
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := r.line(fields); err != nil {
			return Table{}, fmt.Errorf("house.txt:%d: %w", i+1, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.table.rooms)) {
		r.table.expand(name)
		if err := r.table.checkRanks(r.table.rooms[name]); err != nil {
			return Table{}, fmt.Errorf("house.txt: %s: %w", name, err)
		}
	}
	return r.table, nil
}

// reader is where in the table a line stands.
type reader struct {
	table        Table
	group, below string // what paths of rooms begin with: at a slash, and else
}

func (r *reader) line(fields []string) error {
	switch key := fields[0]; {
	case key == "technology" && len(fields) > 2:
		r.table.technologies = append(r.table.technologies, technology{fields[1], fields[2:]})
	case key == "tests" && len(fields) == 2:
		r.table.tests = list(fields[1])
	case key == "rank" && len(fields) == 5:
		r.table.ranks[fields[1]] = rank{list(fields[2]), list(fields[3]), list(fields[4])}
	case key == "module" && len(fields) == 2:
		r.group, r.below = fields[1], fields[1]
	case key == "service" && len(fields) == 2:
		r.group = path.Join("services", fields[1])
		r.below = path.Join(r.group, "internal")
		r.table.Services = append(r.table.Services, Service{Name: fields[1]})
	case key == "hall" && len(fields) == 2 && len(r.table.Services) > 0:
		service := &r.table.Services[len(r.table.Services)-1]
		service.Halls = append(service.Halls, Hall{Name: fields[1]})
	case len(fields) == 4:
		return r.row(fields)
	default:
		return fmt.Errorf("%q is no line of the table", strings.Join(fields, " "))
	}
	return nil
}

func (r *reader) row(fields []string) error {
	room := Room{Path: r.path(fields[0]), Rank: fields[1], group: r.group, outside: list(fields[3])}
	for _, imported := range list(fields[2]) {
		if imported != "*" && !strings.HasPrefix(imported, "pkg/") {
			imported = r.path(imported)
		}
		room.imports = append(room.imports, imported)
	}
	if _, twice := r.table.rooms[room.Path]; twice {
		return fmt.Errorf("%s has two rows", room.Path)
	}
	r.table.rooms[room.Path] = room
	if strings.HasPrefix(fields[0], "/") || !strings.HasPrefix(r.group, "services/") {
		return nil // no room of a hall
	}
	service := &r.table.Services[len(r.table.Services)-1]
	if len(service.Halls) == 0 {
		return fmt.Errorf("%s is in no hall", room.Path)
	}
	hall := &service.Halls[len(service.Halls)-1]
	hall.Rooms = append(hall.Rooms, room)
	return nil
}

func (r *reader) path(name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Join(r.group, name)
	}
	return path.Join(r.below, name)
}

// list splits a list; a name may end in !.
func list(field string) []string {
	if field == "-" {
		return nil
	}
	return strings.Split(field, ",")
}

// expand replaces name/... among a room's imports by the rooms below name.
func (t Table) expand(name string) {
	room := t.rooms[name]
	var imports []string
	for _, imported := range room.imports {
		above, all := strings.CutSuffix(imported, "...")
		if !all {
			imports = append(imports, imported)
			continue
		}
		for below := range t.rooms {
			if strings.HasPrefix(below, above) {
				imports = append(imports, below)
			}
		}
	}
	room.imports = imports
	t.rooms[name] = room
}

// checkRanks says which right of a row its rank does not have.
func (t Table) checkRanks(of Room) error {
	own, ok := t.ranks[of.Rank]
	if !ok {
		return fmt.Errorf("there is no rank %q", of.Rank)
	}
	for _, imported := range of.imports {
		name, exception := strings.CutSuffix(imported, "!")
		room, ok := t.rooms[name]
		switch {
		case name == "*":
		case !ok:
			return fmt.Errorf("%s has no row", name)
		case !exception && !has(own.imports, room.Rank):
			return fmt.Errorf("it is of rank %s, which does not import %s, of rank %s", of.Rank, name, room.Rank)
		}
	}
	for _, used := range of.outside {
		name, exception := strings.CutSuffix(used, "!")
		switch {
		case !slices.ContainsFunc(t.technologies, func(tech technology) bool { return tech.name == name }):
			return fmt.Errorf("there is no technology %q", name)
		case !exception && !has(own.named, name):
			return fmt.Errorf("it is of rank %s, which does not know %s", of.Rank, name)
		}
	}
	return nil
}

// has reports whether a list allows a name: by itself, as an exception or by *.
func has(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, name+"!") || slices.Contains(list, "*")
}
