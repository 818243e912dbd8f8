package setup

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// client is who the dialogues are as: this machine, which no site shuts out, and for whose name nobody asks the DNS.
const client = "127.0.0.1.4321"

// A dialogue brings Exim to one stage.
type dialogue struct{ stage, lines string }

// dialogues are one a stage. "postmaster" without a domain is a recipient everywhere (RFC 5321 4.5.1).
func dialogues() []dialogue {
	const helo, mail = "EHLO localhost\r\n", "MAIL FROM:<>\r\n"
	const rcpt, quit = "RCPT TO:<postmaster>\r\n", "QUIT\r\n"
	const data = "DATA\r\nFrom: <postmaster@localhost>\r\nTo: <postmaster@localhost>\r\nSubject: eximpolicyd setup\r\n" +
		"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <setup@localhost>\r\n\r\nNothing is wrong.\r\n.\r\n"
	return []dialogue{
		{"CONNECT", quit}, {"HELO", helo + quit}, {"MAIL", helo + mail + quit}, {"RCPT", helo + mail + rcpt + quit},
		{"DATA", helo + mail + rcpt + data + quit}, {"QUIT", helo + quit}, {"NOTQUIT", helo},
	}
}

// wrong is what Exim says of a statement that it cannot carry out.
var wrong = regexp.MustCompile(`(?m)^451[ -].*|^.*(?:Temporary local problem|failed to expand|condition test deferred).*`)

// trouble holds one dialogue and returns what went wrong in it, or "".
func (s *Setup) trouble(ctx context.Context, conf string, d dialogue) string {
	r := s.eximAt(ctx, conf, d.lines, "-bh", client)
	if bad := wrong.FindString(r.out); bad != "" {
		return firstWords(said{out: bad})
	}
	if !strings.Contains(r.out, "SMTP testing session") { // Exim exits with 1 for a session without QUIT
		return "exim -bh says: " + firstWords(r)
	}
	return ""
}

// prove holds every dialogue with a configuration. With a witness each stage must have asked it, and a local submission is
// tried as well.
func (s *Setup) prove(ctx context.Context, conf string, w *witness) error {
	if err := s.tested(ctx, conf); err != nil {
		return err
	}
	for _, d := range dialogues() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if bad := s.trouble(ctx, conf, d); bad != "" {
			return fmt.Errorf("exim -bh up to %s: %s", d.stage, bad)
		}
		if w != nil && !w.asked(d.stage) {
			return fmt.Errorf("exim -bh up to %s: Exim did not ask", d.stage)
		}
	}
	return nil
}

// troubleBefore says whether the site's own configuration has the trouble too, before we came.
func (s *Setup) troubleBefore(ctx context.Context) error {
	for _, d := range dialogues() {
		if bad := s.trouble(ctx, "", d); bad != "" {
			return fault(BadConfiguration, "mend that first", "Exim does not get through a session without us either, up to %s: %s", d.stage, bad)
		}
	}
	return nil
}
