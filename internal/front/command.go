package front

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// command reads a line and hands it on, unless it is answered here.
func (g *guard) command(b []byte) (int, error) {
	for {
		line, err := g.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, g.hangUp("bad-commands", 500, "5.5.2 the line is too long")
		}
		if err != nil {
			return 0, err
		}
		if g.code == 334 { // not a command, but an answer to AUTH
			g.code = 0
			return g.hand(b, string(line)), nil
		}
		on, err := g.obey(strings.TrimRight(string(line), " \t\r\n")) // Exim, too, minds no blanks at the end
		switch {
		case err != nil:
			return 0, err
		case g.shut: // that was one error too many
			return 0, io.EOF
		}
		if on != "" {
			return g.hand(b, on), nil
		}
	}
}

// hand hands on a line, whose rest is handed on before anything else is read.
func (g *guard) hand(b []byte, line string) int {
	n := copy(b, line)
	g.rest = []byte(line[n:])
	return n
}

// verb takes a command from its argument in the way of go-smtp, so that both see the same one, or is nothing if it is none of
// Exim's, to which FROM: and TO: belong to the command.
func verb(line string) (verb, arg string) {
	switch {
	case strings.HasPrefix(strings.ToUpper(line), "STARTTLS"):
		return "STARTTLS", ""
	case len(line) == 4:
		verb = strings.ToUpper(line)
	case len(line) > 5 && line[4] == ' ':
		verb, arg = strings.ToUpper(line[:4]), strings.TrimSpace(line[5:])
	}
	of := ""
	switch verb {
	case "MAIL":
		of = "FROM:"
	case "RCPT":
		of = "TO:"
	case "AUTH", "BDAT", "DATA", "EHLO", "EXPN", "HELO", "HELP", "NOOP", "QUIT", "RSET", "VRFY":
	default:
		return "", line
	}
	if len(arg) < len(of) || !strings.EqualFold(arg[:len(of)], of) {
		return "", line
	}
	return verb, arg[len(of):]
}

// stranger is what go-smtp is greeted with in the place of a client that has not: it takes no mail otherwise, and Exim does.
// What becomes of such a client is a rule's to say, helo.H1.
const stranger = "HELO stranger\r\n"

// obey does what is to be done about a command here, and returns what go-smtp is to have of it: the line, with its end, or
// nothing.
func (g *guard) obey(line string) (on string, err error) {
	g.v.uncounted = false
	if strings.IndexByte(line, 0) >= 0 {
		g.fault(501, "5.5.2 a command has no NUL in it")
		return "", nil
	}
	on = line + "\r\n"
	verb, arg := verb(line)
	if g.v.inChunks && !slices.Contains([]string{"BDAT", "NOOP", "RSET", "QUIT"}, verb) {
		g.fault(503, "5.5.1 only BDAT may follow BDAT that is not the last: the message is given up")
		g.mute = true
		return "RSET\r\n", nil
	}
	if verb == "" {
		return "", g.noCommand(line)
	}
	if !g.v.inChunks || verb != "BDAT" { // of a message's chunks Exim notes the first
		g.v.note(verb)
	}
	g.last = verb
	switch verb {
	case "EHLO", "HELO":
		return g.greeted(verb, arg, on)
	case "MAIL", "RCPT":
		return g.addressed(verb, arg, on)
	case "QUIT":
		g.v.quits()
	case "STARTTLS":
		if g.offers {
			return "", g.secure()
		}
	case "DATA":
		g.mode = asking
	case "BDAT":
		return g.chunk(arg, on)
	}
	return on, nil
}

// greeted asks about a greeting, the second one too.
func (g *guard) greeted(verb, arg, line string) (on string, err error) {
	if arg == "" {
		return line, nil // go-smtp says what is missing
	}
	no := g.v.greet(arg, verb == "EHLO")
	g.named = true // also if it is refused: then Exim takes no mail before another greeting, and nor does go-smtp
	if no == nil {
		return line, nil
	}
	g.say(no.Code, spelt(no))
	if g.v.dropped {
		return "", io.EOF
	}
	return "", nil
}

// addressed reads the address of a sender or a recipient, and hands on what go-smtp reads as the same.
func (g *guard) addressed(verb, arg, line string) (on string, err error) {
	v, to := g.v, verb == "RCPT"
	if to {
		v.q.RcptCount++
	}
	switch {
	case to && !v.inMessage:
		return line, nil // go-smtp says what is missing
	case !to && v.inMessage:
		return "", g.answer(503, "5.5.1 the sender is given already")
	}
	a, options, ok := readAddress(arg)
	switch {
	case !ok || options != "" && !v.extended || to && a == (address{}):
		return "", g.answer(501, "5.1.3 that is no address")
	case to && a.domain == "" && strings.EqualFold(a.local, "postmaster"): // mail for him is taken everywhere (RFC 5321 4.5.1)
		a.domain = v.home()
	case a.domain == "" && a.local != "":
		v.uncounted = true
		return "", g.answer(501, "5.1.3 an address must contain a domain")
	}
	if to {
		return "RCPT TO:" + a.again() + " " + options + "\r\n", nil
	}
	on = "MAIL FROM:" + a.again() + " " + options + "\r\n"
	if !g.named {
		g.named, g.mute = true, true
		on = stranger + on
	}
	return on, nil
}

// secure agrees to STARTTLS. What came behind it in the clear could be anybody's, and must not count as said above TLS.
func (g *guard) secure() error {
	if !g.v.extended {
		g.fault(503, "5.5.1 STARTTLS is offered to who says EHLO")
		return nil
	}
	if g.in.Buffered() > 0 {
		g.v.warn("a client is cut off that sent more behind STARTTLS without waiting")
		return g.hangUp("synchronization-error", 554, "5.5.0 wait for the answer to STARTTLS")
	}
	g.say(220, "2.0.0 go on with TLS")
	g.tls, g.shut = true, true
	return io.EOF
}

// chunk takes BDAT, whose octets go-smtp reads whatever it thinks of the command, if it can read the number.
func (g *guard) chunk(arg, line string) (on string, err error) {
	number, last, two := strings.Cut(arg, " ")
	size, err := strconv.ParseUint(number, 10, 32)
	switch { // octets of nobody knows what may follow
	case !g.v.extended:
		return "", g.hangUp("bad-commands", 503, "5.5.1 BDAT is offered to who says EHLO")
	case err != nil || two && !strings.EqualFold(strings.TrimSpace(last), "LAST"):
		return "", g.hangUp("bad-commands", 501, "5.5.4 BDAT needs a number of octets, and LAST or nothing")
	case size > maxMessage:
		return "", g.hangUp("bad-commands", 552, "5.3.4 the message is too big")
	case size > 0:
		g.mode, g.size = chunk, int64(size)
	}
	return line, nil
}

// spelt writes a refusal without its code.
func spelt(e *smtp.SMTPError) string {
	c := e.EnhancedCode
	return fmt.Sprintf("%d.%d.%d %s", c[0], c[1], c[2], e.Message)
}
