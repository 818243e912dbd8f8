package script

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// takesMail is where "eximpolicyd smtp" says that it listens.
var takesMail = regexp.MustCompile(`takes mail on (\S+),`)

// speakSMTP speaks the lines of a file to the front whose output is another file, as soon as that says where it listens, and
// prints what it answers: smtp OUTPUT FILE. After a 354 the lines up to a dot are one message; \n in a line is a bare LF.
func speakSMTP(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: smtp OUTPUT FILE")
	}
	c, err := net.Dial("tcp", listening(ts, ts.MkAbs(args[0])))
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	in := bufio.NewReader(c)
	message := false
	heard := func() {
		for {
			line, err := in.ReadString('\n')
			fmt.Fprint(ts.Stdout(), strings.ReplaceAll(line, "\r\n", "\n"))
			if message = strings.HasPrefix(line, "354"); err != nil || len(line) > 3 && line[3] == ' ' {
				return
			}
		}
	}
	heard()
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		_, err := fmt.Fprintf(c, "%s\r\n", strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `\n`, "\n"))
		ts.Check(err)
		if !message || line == ".\n" {
			heard()
		}
	}
	if message { // without a dot: it has been cut off
		heard()
	}
}

// listening waits for an address.
func listening(ts *testscript.TestScript, output string) string {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		text, err := os.ReadFile(output)
		if m := takesMail.FindSubmatch(text); err == nil && m != nil {
			return string(m[1])
		}
		select {
		case <-tick.C:
		case <-end:
			ts.Fatalf("waited %v for %s to say where mail is taken", patience, output)
		}
	}
}
