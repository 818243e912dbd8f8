package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	eximsnippets "eximpolicyd/exim-snippets"
	"eximpolicyd/test/rig"
)

// strictSessions are what clients may do, step by step; each is asked about alike whether Exim is strict with variables or not.
func strictSessions() map[string][]string {
	const mailFrom, rcpt = "MAIL FROM:<x@client.example>", "RCPT TO:<alice@" + rig.Domain + ">"
	message := []string{mailFrom, rcpt, "RCPT TO:<bob@" + rig.Domain + ">", "DATA", "Subject: x\r\n\r\nx\r\n."}
	noops := slices.Repeat([]string{"NOOP"}, 25)
	return map[string][]string{
		"two messages":                      slices.Concat([]string{"EHLO c.example"}, message, message, []string{"QUIT"}),
		"a message between which it greets": slices.Concat([]string{"EHLO c.example"}, message, []string{"HELO d.example"}, message, []string{"QUIT"}),
		"TLS, after which it greets again":  slices.Concat([]string{"EHLO c.example", "STARTTLS", "EHLO c.example"}, message, []string{"QUIT"}),
		"a message after it says something": slices.Concat([]string{"NOOP", "RSET", "HELP", "EHLO c.example", "RSET", mailFrom, "RSET"}, message, []string{"QUIT"}),
		"no greeting":                       slices.Concat(message, []string{"QUIT"}),
		"no greeting, and one later":        slices.Concat(message, []string{"EHLO c.example"}, message, []string{"QUIT"}),
		"nothing but QUIT":                  {"QUIT"},
		"nothing at all":                    {},
		"nothing of interest":               {"NOOP", "VRFY x", "QUIT"},
		"a recipient that is not there":     {"EHLO c.example", mailFrom, "RCPT TO:<nosuch@" + rig.Domain + ">", "RCPT TO:<friend@" + rig.Foreign + ">", rcpt, "QUIT"},
		"a greeting and no more":            {"EHLO c.example"},
		"more commands than Exim remembers": slices.Concat([]string{"EHLO c.example"}, noops, []string{"EHLO c.example"}, message, noops, []string{"QUIT"}),
		"a sender, and then an end":         {"EHLO c.example", mailFrom},
	}
}

// oddSessions are those in which the panel without rooms at CONNECT and MAIL may find out only by reading that nobody has asked;
// Exim logs that it has passed over a statement, and nothing else is different.
func oddSessions() map[string][]string {
	return map[string][]string{
		"a greeting that Exim refuses, and a good one": {"EHLO bad_!", "EHLO c.example", "QUIT"},
		"nothing but a greeting that Exim refuses":     {"EHLO bad_!", "QUIT"},
		"a recipient that Exim refuses, and a good one": {"EHLO c.example", "MAIL FROM:<x@client.example>", "RCPT TO:<", "RCPT TO:<alice@" + rig.Domain + ">",
			"RCPT TO:<bob@" + rig.Domain + ">", "QUIT"},
		"many commands before the first that counts": slices.Concat(slices.Repeat([]string{"NOOP"}, 25), []string{"EHLO c.example", "MAIL FROM:<x@client.example>",
			"RCPT TO:<alice@" + rig.Domain + ">", "QUIT"}),
	}
}

// play has a client say lines, and returns the codes of the answers and the stages that were asked about.
func play(t *testing.T, flavour string, s *rig.Site, f *rig.Fake, lines []string) (codes []int, stages string) {
	t.Helper()
	f.Forget()
	c := dial(t, s, "203.0.113.7")
	for _, line := range lines {
		if line == "STARTTLS" {
			check(t, c.StartTLS())
			continue
		}
		codes = append(codes, c.Say(line).Code)
	}
	check(t, c.Close())
	end := "NOTQUIT"
	if slices.Contains(lines, "QUIT") {
		end = "QUIT"
	}
	// The end is asked about after the last answer, where it is asked about at all: the next session's first question comes later.
	if flavour != "directadmin" || strings.Contains(strings.Join(lines, " "), "EHLO c") || strings.Contains(strings.Join(lines, " "), "RCPT") {
		if err := rig.Await(end, func() bool { return slices.Contains(stagesOf(t, f), end) }); err != nil {
			t.Fatalf("%v after %q: answers %v, asked at %s", err, lines, codes, stagesOf(t, f))
		}
	}
	return codes, strings.Join(stagesOf(t, f), " ")
}

func TestEveryFlavourAsksAlikeWhereEximIsStrictWithVariables(t *testing.T) {
	for _, flavour := range eximsnippets.All() {
		t.Run(flavour, func(t *testing.T) {
			t.Parallel()
			const patient = "hosts_require_helo =\nsmtp_accept_max_nonmail = 200\n"
			tls := flavour != "stock" // its ciphers are OpenSSL's
			lax := started(t, rig.Config{Flavour: flavour, TLS: tls, Main: patient})
			strict := started(t, rig.Config{Flavour: flavour, TLS: tls, Main: patient + "strict_acl_vars = true\n"})
			fakes := [2]*rig.Fake{}
			for i, s := range []*rig.Site{lax, strict} {
				fakes[i] = fake(t, s, rig.Always(rig.Whole(`action=dunno tag=T`)))
			}
			alike := func(name string, lines []string) {
				codes, stages := play(t, flavour, lax, fakes[0], lines)
				strictCodes, strictStages := play(t, flavour, strict, fakes[1], lines)
				if !slices.Equal(codes, strictCodes) || stages != strictStages {
					t.Errorf("%s: %v at %s\nstrict: %v at %s", name, codes, stages, strictCodes, strictStages)
				}
				if slices.Contains(strictCodes, 451) || slices.Contains(strictCodes, 0) {
					t.Errorf("%s: %v at %s", name, strictCodes, strictStages)
				}
			}
			played := 0
			for name, lines := range strictSessions() {
				if tls || !slices.Contains(lines, "STARTTLS") {
					alike(name, lines)
					played++
				}
			}
			for _, way := range [][]string{{sendmail, "-t"}, {sendmail, "-i", "alice@" + rig.Domain}, {sendmail, "-bs"}, {sendmail, "-bS"}} {
				text := "To: alice@" + rig.Domain + "\n" + mail("x")
				if strings.HasPrefix(way[1], "-b") {
					text = "EHLO x\r\nMAIL FROM:<nobody@" + rig.Domain + ">\r\nRCPT TO:<alice@" + rig.Domain + ">\r\nDATA\r\n" + strings.ReplaceAll(mail("x"), "\n", "\r\n") + ".\r\nQUIT\r\n"
				}
				var said [2]string
				for i, s := range []*rig.Site{lax, strict} {
					fakes[i].Forget()
					out, err := s.As("nobody", "/", text, way...)
					if err != nil {
						t.Errorf("%q: %v %s", way, err, out)
					}
					said[i] = fmt.Sprint(stagesOf(t, fakes[i]))
				}
				if said[0] != said[1] || said[0] == "[]" {
					t.Errorf("%q: asked at %s, strict at %s", way, said[0], said[1])
				}
			}
			healthy(t, strict)
			if log := strict.Mainlog(); strings.Contains(log, "skipped") {
				t.Errorf("Exim has passed over a statement:\n%s", log)
			}
			odd := 0
			for name, lines := range oddSessions() {
				alike(name, lines)
				odd++
			}
			told := strings.Count(strict.Paniclog(), "while checking a list: unknown variable")
			if n := strings.Count(strict.Mainlog(), "skipped"); n > odd || flavour != "directadmin" && n > 0 || told != n || strings.Count(strict.Paniclog(), "\n") != n {
				t.Errorf("%d statements passed over in %d odd sessions:\n%s%s", n, odd, strict.Mainlog(), strict.Paniclog())
			}
			for i, s := range []*rig.Site{lax, strict} { // and without a daemon
				check(t, fakes[i].Close())
				twoMessages(t, s, "203.0.113.7")
			}
			t.Logf("FIGURE %s with strict_acl_vars: %d sessions and 4 submissions asked about as without it", flavour, played+odd)
		})
	}
}
