package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// row is one line of the table. One without a must is only told.
type row struct {
	what, figure, must string
	met                bool
}

// told is a row without a must.
func told(what, format string, args ...any) row {
	return row{what: what, figure: fmt.Sprintf(format, args...)}
}

// most is a row whose value must not be over a bound.
func most(what string, value, bound float64, format, unit string) row {
	return row{
		what: what, figure: fmt.Sprintf(format, value) + unit, must: fmt.Sprintf("at most %g", bound) + unit, met: value <= bound,
	}
}

// under is a row whose value must be below a bound.
func under(what string, value, bound float64, format, unit string) row {
	return row{
		what: what, figure: fmt.Sprintf(format, value) + unit, must: fmt.Sprintf("under %g", bound) + unit, met: value < bound,
	}
}

// least is a row whose value must not be below a bound.
func least(what string, value, bound float64, format, unit string) row {
	return row{
		what: what, figure: fmt.Sprintf(format, value) + unit, must: fmt.Sprintf("at least %g", bound) + unit, met: value >= bound,
	}
}

func (r row) verdict() string {
	switch {
	case r.must == "":
		return ""
	case r.met:
		return "ok"
	}
	return "MISSED"
}

func missed(rows []row) bool {
	for _, r := range rows {
		if r.verdict() == "MISSED" {
			return true
		}
	}
	return false
}

func printText(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "what\tfigure\tmust\tverdict")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.what, r.figure, r.must, r.verdict())
	}
	t.Flush()
}

func printMarkdown(w io.Writer, rows []row) {
	cell := strings.NewReplacer("|", `\|`)
	fmt.Fprintln(w, "| what | figure | must | verdict |\n|---|---|---|---|")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", cell.Replace(r.what), cell.Replace(r.figure), r.must, r.verdict())
	}
}
