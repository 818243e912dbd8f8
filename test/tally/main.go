// Command tally reads the output of "go test -json", shows what failed, lists what was skipped and why, and closes with
// the counts. It exits with 1 if anything failed or nothing ran, so that a skipped part never looks green by itself.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

// tally counts tests, the innermost ones only: a test with parts is its parts.
type tally struct {
	output         map[string][]string // of each test and package, until it has passed
	parents        map[string]bool
	passed, failed map[string]bool
	skipped        map[string]string // with the reason
	packages       map[string]bool   // that failed, by themselves or by a test
}

func main() {
	t := &tally{map[string][]string{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}, map[string]bool{}}
	scan := bufio.NewScanner(os.Stdin)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			fmt.Println(scan.Text()) // a compiler's message
			continue
		}
		t.take(e)
	}
	os.Exit(t.close(os.Stdout))
}

func (t *tally) take(e event) {
	id := e.Package + "\x00" + e.Test
	switch e.Action {
	case "output":
		t.output[id] = append(t.output[id], e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "pass", "fail", "skip":
		t.end(e, id)
	}
}

func (t *tally) end(e event, id string) {
	for name := e.Test; strings.Contains(name, "/"); {
		name = name[:strings.LastIndexByte(name, '/')]
		t.parents[e.Package+"\x00"+name] = true
	}
	switch {
	case e.Test == "" && e.Action == "fail":
		t.packages[e.Package] = true
	case e.Test == "" && e.Action == "pass":
		fmt.Printf("ok    %-40s %6.1fs\n", e.Package, e.Elapsed)
	case e.Test == "":
	case e.Action == "pass":
		t.passed[id] = true
		for _, line := range t.output[id] {
			if strings.Contains(line, "FIGURE") { // a figure that a test shows
				fmt.Print(line)
			}
		}
	case e.Action == "fail":
		t.failed[id] = true
		t.packages[e.Package] = true
	case e.Action == "skip":
		t.skipped[id] = strings.Join(t.output[id], "")
	}
	if e.Action == "pass" {
		delete(t.output, id)
	}
}

// close prints the failures, the skips and the counts, and returns the exit code.
func (t *tally) close(w io.Writer) int {
	for _, id := range sorted(t.failed) {
		fmt.Fprintf(w, "\nFAILED %s\n%s", strings.ReplaceAll(id, "\x00", " "), strings.Join(t.output[id], ""))
	}
	for p := range t.packages {
		if rest := strings.Join(t.output[p+"\x00"], ""); strings.TrimSpace(rest) != "" {
			fmt.Fprintf(w, "\nFAILED %s\n%s", p, rest)
		}
	}
	for _, id := range sorted(t.failed) { // once more at the end, in short: of a long output, that is what is seen
		fmt.Fprintf(w, "failed: %s\n", strings.ReplaceAll(id, "\x00", " "))
		for _, line := range said(t.output[id]) {
			fmt.Fprintf(w, "    %.300s\n", line)
		}
	}
	skipped := 0
	for _, id := range sorted(t.skipped) {
		if !t.parents[id] {
			skipped++
			fmt.Fprintf(w, "skipped: %s: %s\n", strings.ReplaceAll(id, "\x00", " "), reason(t.skipped[id]))
		}
	}
	passed, failed := t.leaves(t.passed), t.leaves(t.failed)
	failed = max(failed, len(t.packages))
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 || passed == 0 {
		return 1
	}
	return 0
}

func (t *tally) leaves(of map[string]bool) (n int) {
	for id := range of {
		if !t.parents[id] {
			n++
		}
	}
	return n
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// said returns the first lines that a test has to say, with their places; figures are no complaint.
func said(output []string) (lines []string) {
	for _, line := range strings.Split(strings.Join(output, ""), "\n") {
		if (strings.Contains(line, ".go:") || strings.HasPrefix(line, "panic:")) && !strings.Contains(line, "FIGURE") && len(lines) < 4 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// reason is what t.Skip said: the line with the file's name.
func reason(output string) string {
	for _, line := range said([]string{output}) {
		_, words, _ := strings.Cut(line, ".go:")
		_, words, _ = strings.Cut(words, ": ")
		return words
	}
	return "no reason given"
}
