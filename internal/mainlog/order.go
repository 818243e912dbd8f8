package mainlog

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// set is a log with its rotated parts, the oldest first.
type set struct {
	inputs []Input
	reject bool // the reject log, whose entries stand in the main log too
	piped  bool // what it is called says nothing: it may be the reject log
}

// sets sorts inputs into logs. Parts of one log have the same name but for what rotation adds at the end (".1", ".2.gz",
// "-20261123", "-11-2026"), and are read one after the other in the order of their first time stamps: what numbers mean differs
// from site to site. A part that is there both plain and compressed, since the rotation is at work, is read once, and so is a file
// under several names.
func sets(inputs []Input, o *Options) []set {
	var names []string
	byName := map[string][]Input{}
	given := map[string]bool{}
	files := map[inode]bool{}
	for _, in := range inputs {
		if files[in.inode] {
			continue
		}
		files[in.inode] = in.inode != inode{}
		if plain := strings.TrimSuffix(in.Name, ".gz"); !in.once {
			if given[plain] {
				continue
			}
			given[plain] = true
		}
		name := setName(in.Name)
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], in)
	}
	var all []set
	for _, name := range names {
		all = append(all, set{inputs: inOrder(byName[name], o), reject: strings.Contains(filepath.Base(name), "reject"), piped: byName[name][0].once})
	}
	slices.SortStableFunc(all, func(a, b set) int { // an entry of the main log comes before its copy
		switch {
		case a.reject == b.reject:
			return 0
		case b.reject:
			return -1
		}
		return 1
	})
	return all
}

// setName returns a file's name without what rotation adds.
func setName(name string) string {
	if name == "-" {
		return name
	}
	base := strings.TrimRight(strings.TrimSuffix(filepath.Base(name), ".gz"), "0123456789.-_")
	if base == "" {
		return name
	}
	return filepath.Join(filepath.Dir(name), base)
}

func inOrder(inputs []Input, o *Options) []Input {
	if len(inputs) == 1 {
		return inputs
	}
	type part struct {
		Input
		start  time.Time
		number int
	}
	parts := make([]part, len(inputs))
	for i, in := range inputs {
		parts[i] = part{in, firstMoment(&in, o), rotation(in.Name)}
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		if a.start.IsZero() != b.start.IsZero() { // an empty one has no place among the others, nor keeps them apart
			return b.start.Compare(a.start)
		}
		return cmp.Or(a.start.Compare(b.start), cmp.Compare(b.number, a.number))
	})
	for i := range parts {
		inputs[i] = parts[i].Input
	}
	return inputs
}

// rotation returns the number in "mainlog.3.gz", 0 for none.
func rotation(name string) int {
	name = strings.TrimSuffix(name, ".gz")
	n, ok := digits(strings.TrimPrefix(filepath.Ext(name), "."))
	if !ok || n > 9999 {
		return 0
	}
	return n
}

// firstMoment looks for the first time stamp near the start of an input.
func firstMoment(in *Input, o *Options) time.Time {
	if in.once {
		return time.Time{}
	}
	f, err := in.Open()
	if err != nil {
		return time.Time{}
	}
	defer f.Close()
	r, err := plain(f)
	if err != nil {
		return time.Time{}
	}
	k, _ := newCutter(in, r).next()
	if k == nil {
		return time.Time{}
	}
	new(parser).parse(k)
	if len(k.events) == 0 {
		return time.Time{}
	}
	c := clock{where: o.Location, latest: in.latest(o)}
	return c.moment(&k.events[0].stamp)
}

// latest returns the last moment that an input can tell of.
func (in *Input) latest(o *Options) time.Time {
	if in.Modified.IsZero() || in.Modified.After(o.Now) {
		return o.Now
	}
	return in.Modified
}
