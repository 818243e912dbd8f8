package prose

import (
	"strconv"
	"strings"
)

// count is a number of things.
type count interface{ ~int | ~int64 | ~uint64 }

// Many writes a number of things, which are named in the singular: "1 entry", "0 entries", "2 allowed networks".
func Many[N count](n N, thing string) string {
	return strconv.FormatInt(int64(n), 10) + " " + Form(n, thing, plural(thing))
}

// Form chooses the form of a word that goes with a number, as of "is" and "are": the first for one thing.
func Form[N count](n N, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// plural is of regular words, which are all that there are here.
func plural(thing string) string {
	before, y := strings.CutSuffix(thing, "y")
	switch {
	case y && !strings.HasSuffix(before, "a") && !strings.HasSuffix(before, "e"): // days and keys
		return before + "ies"
	case strings.HasSuffix(thing, "s"), strings.HasSuffix(thing, "x"), strings.HasSuffix(thing, "ch"):
		return thing + "es"
	}
	return thing + "s"
}
