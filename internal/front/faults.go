package front

import (
	"fmt"
	"strings"
	"time"
)

const (
	maxFaults     = 3                     // Exim's smtp_max_synprot_errors and smtp_max_unknown_commands: one more ends a connection
	tooManyFaults = "bad-command-synprot" // why
)

// faults counts what a client did wrong, as Exim does: errors of syntax or protocol, commands that are none among them. No
// fault are what a policy objects to, a login that fails, and an address without a domain; and no recipient behind a sender
// that was refused, nor a DATA behind a recipient, if the client was told that it need not wait for answers (RFC 2920 3.1).
type faults struct {
	all, unknown int
	uncounted    bool // the last command is none, whatever the code of its answer
}

// tally counts the answer to a command, if that was a fault, and returns what is to be said.
func (g *guard) tally(line []byte) []byte {
	last, prev := g.last, g.prev
	g.last, g.prev = "", last
	switch g.code {
	default:
		return line
	case 503:
		ahead := last == "RCPT" && (prev == "MAIL" || prev == "RCPT") || (last == "DATA" || last == "BDAT") && prev == "RCPT"
		if g.v.extended && ahead {
			return line
		}
		g.prev = ""
	case 500, 501, 504:
	}
	if g.v.uncounted || last == "" || last == "AUTH" && g.code == 501 {
		return line
	}
	return g.count(line)
}

// count counts a fault, and adds the last word to the answer if it is one too many.
func (g *guard) count(line []byte) []byte {
	if g.v.faults.all++; g.v.faults.all <= maxFaults {
		return line
	}
	g.v.why, g.shut = tooManyFaults, true
	return fmt.Appendf(nil, "%s-%s%s 5.5.0 Too many syntax or protocol errors\r\n", line[:3], line[4:], line[:3])
}

// fault answers in go-smtp's place what is a fault.
func (g *guard) fault(code int, text string) {
	g.prev = ""
	g.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	g.Conn.Write(g.count(fmt.Appendf(nil, "%d %s\r\n", code, text))) // a client that has gone is found by the next Read
}

// noCommand answers what is no command.
func (g *guard) noCommand(line string) error {
	if strings.HasPrefix(line, proxyWord) {
		g.v.warn("a PROXY header came too late, or not from a client on loopback")
		return g.hangUp("bad-commands", 500, "5.5.1 a PROXY header is taken from loopback only, and before the greeting")
	}
	if g.v.faults.unknown++; g.v.faults.unknown > maxFaults {
		return g.hangUp("bad-commands", 500, "5.5.2 Too many unrecognized commands")
	}
	g.fault(500, "5.5.2 unrecognized command")
	return nil
}
