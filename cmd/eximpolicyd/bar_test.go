package main

import "testing"

func TestABarFitsItsTerminal(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name      string
		read, all int64
		columns   int
		want      string
	}{
		{"no terminal is so narrow", 5 * mb, 10 * mb, 1, ""},
		{"no room for a percentage", 5 * mb, 10 * mb, 4, ""},
		{"room for a percentage only", 5 * mb, 10 * mb, 5, " 50%"},
		{"no room for a bar that tells anything", 5 * mb, 10 * mb, 26, " 50% of 10 MB"},
		{"room for the shortest bar", 5 * mb, 10 * mb, 27, "[#####     ]  50% of 10 MB"},
		{"room for a shorter bar", 2 * mb, 10 * mb, 40, "[####                   ]  20% of 10 MB"},
		{"room for all of it", 10 * mb, 10 * mb, 57, "[########################################] 100% of 10 MB"},
		{"more room than it needs", 0, 10 * mb, 200, "[                                        ]   0% of 10 MB"},
		{"more is read than there was", 20 * mb, 10 * mb, 57, "[########################################] 100% of 10 MB"},
		{"nobody knows how much there is", 7 * mb, 0, 80, "7 MB"},
		{"likewise, and no room", 7 * mb, 0, 4, ""},
	} {
		if got := barLine(c.read, c.all, c.columns); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	n := 0
	for columns := range 120 {
		for _, all := range []int64{0, 1, mb, 3 << 30, 1<<63 - 1} {
			for _, read := range []int64{0, 1, mb, 3 << 30, 1<<63 - 1} {
				if line := barLine(read, all, columns); len(line) >= max(columns, 1) {
					t.Errorf("%q does not fit %d columns", line, columns)
				}
				n++
			}
		}
	}
	t.Logf("FIGURE %d bars fit their terminals", n)
}
