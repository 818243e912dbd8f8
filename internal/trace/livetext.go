package trace

import (
	"fmt"
	"io"
	"strings"
)

// PrintSenders writes for each connection whom it belongs to and with whom it talks, and below that what the processes run.
func PrintSenders(out io.Writer, senders []Sender) error {
	w := newPage(out)
	w.line("%-16s %7s  %s", "ACCOUNT", "UID", "TALKS TO")
	for i := range senders {
		s := &senders[i]
		account, where := s.Account, "the world"
		if account == "" {
			account = "-"
		}
		if s.Here {
			where = "this host"
		}
		w.line("%-16s %7d  %s, %s, from port %d", Printable(account), s.UID, where, s.Server, s.Client.Port())
		for j := range s.Programs {
			w.program("  ", &s.Programs[j])
			for _, parent := range s.Programs[j].Parents {
				w.program("    started by ", &parent)
			}
		}
	}
	return w.Flush()
}

// program writes what a process runs, where, and as what it was called.
func (w *page) program(indent string, p *Program) {
	what := p.Script
	if what == "" {
		what = p.Exe
	}
	if what == "" {
		what = "(not told)"
	}
	if p.Dir != "" {
		what += " in " + p.Dir
	}
	if len(p.Args) > 1 {
		what += " as: " + strings.Join(p.Args, " ")
	}
	w.hang(fmt.Sprintf("%spid %d: ", indent, p.PID), what)
}
