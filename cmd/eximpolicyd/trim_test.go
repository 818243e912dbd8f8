package main

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// mapped returns how much of the program's code is in memory, in kB.
func mapped(t *testing.T) (kb int) {
	t.Helper()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	code := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var begin, end uintptr
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "%x-%x", &begin, &end); n == 2 {
			here := reflect.ValueOf(trim).Pointer()
			code = begin <= here && here < end
		} else if rest, is := strings.CutPrefix(line, "Rss:"); is && code {
			if _, err := fmt.Sscan(rest, &kb); err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("the program's code is not mapped")
	return 0
}

func TestWhatOnlyStartingUsedIsGivenBackAndTheRestRunsOn(t *testing.T) {
	before := mapped(t)
	trim()
	after := mapped(t)
	if after >= before {
		t.Errorf("%d kB of code before, %d kB after", before, after)
	}
	t.Logf("FIGURE trim: %d kB of the test's code in memory before, %d kB after", before, after)
}
