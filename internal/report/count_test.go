package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/report"
	"eximpolicyd/test/logs"
)

// counted is what can be counted in a log by its words alone.
type counted struct{ taken, guesses, logins, relays, literals, single int }

var greeted = regexp.MustCompile(` H=(?:[^( ]\S* )?\(([^)]*)\) \[`)

func countByWords(log string) (n counted) {
	for line := range strings.Lines(log) {
		helo := ""
		if m := greeted.FindStringSubmatch(line); m != nil {
			helo = m[1]
		}
		switch {
		case strings.Contains(line, " <= "):
			n.taken++
			if strings.HasPrefix(helo, "[192.168.") {
				n.literals++
			}
			if helo == "User" {
				n.single++
			}
		case strings.Contains(line, " authenticator failed for "):
			n.logins++
		case strings.HasSuffix(line, ": Unrouteable address\n"):
			n.guesses++
		case strings.HasSuffix(line, ": relay not permitted\n"):
			n.relays++
		}
	}
	return n
}

func TestTheFiguresAreThoseOfTheWordsInTheLog(t *testing.T) {
	for _, form := range []logs.Form{
		{Lines: 40_000, Seed: 1}, {Lines: 40_000, Seed: 2, PerSecond: 300}, {Lines: 40_000, Seed: 3, PerSecond: 1, Recipients: true},
		{Lines: 40_000, Seed: 4, PID: true}, {Lines: 40_000, Seed: 5, Port: true, PerSecond: 50},
	} {
		var log bytes.Buffer
		if err := logs.Write(&log, nil, form); err != nil {
			t.Fatal(err)
		}
		rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", log.String())
		hits := func(name string) int {
			return rep.Rules[slices.IndexFunc(rep.Rules, func(r report.Rule) bool { return r.Rule == name })].Taken
		}
		got := counted{rep.Enforced.Taken, rep.Attempts.Guesses, rep.Attempts.Logins, rep.Attempts.Relays, hits("helo.H6"), hits("helo.H8")}
		if want := countByWords(log.String()); got != want {
			t.Errorf("%+v: %+v, want %+v", form, got, want)
		}
		sum, met, taken := 0, 0, 0
		for _, d := range rep.Days {
			sum, met, taken = sum+d.Attempts, met+d.Met, taken+d.Taken
		}
		if a := rep.Attempts; sum != a.All || a.All != a.Guesses+a.Logins+a.Relays || met != a.Met || taken != got.taken {
			t.Errorf("%+v: days with %d attempts, %d met, %d taken; %+v", form, sum, met, taken, a)
		}
	}
}

// Behind one address there may be several, and in one connection a client may greet anew or log in: each is judged by what the
// log has beside it.
func TestMailIsJudgedByTheGreetingAndTheLoginThatItCameWith(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		lost                string // senders
	}{
		{"a poor greeting, then a good one", "H=(localhost) [192.0.2.9]%s P=esmtp", "H=(mail.example.org) [192.0.2.9]%s P=esmtp", "1@example.org"},
		{"a good greeting, then a poor one", "H=(mail.example.org) [192.0.2.9]%s P=esmtp", "H=(localhost) [192.0.2.9]%s P=esmtp", "2@example.org"},
		{"a poor greeting, then none that is shown", "H=(localhost) [192.0.2.9]%s P=esmtp", "H=[192.0.2.9]%s P=esmtp", "1@example.org"},
		{"a user, then a stranger", "H=(localhost) [192.0.2.9]%s P=esmtpa A=plain:bob", "H=(localhost) [192.0.2.9]%s P=esmtp", "2@example.org"},
		{"a stranger, then a user", "H=(localhost) [192.0.2.9]%s P=esmtp", "H=(localhost) [192.0.2.9]%s P=esmtpa A=plain:bob", "1@example.org"},
		{"under TLS", "H=(localhost) [192.0.2.9]%s P=esmtp", "H=(mail.example.org) [192.0.2.9]%s P=esmtps X=TLS1.3:X:256", "1@example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, port := range []string{"", ":1001"} {
				var w writing
				for n, from := range []string{c.first, c.second} {
					w.say(time.Duration(n)*time.Minute, "1xVTqX-0005x%d-2c <= %d@example.org %s S=258 id=1@example.org for a@example.net", n, n+1, fmt.Sprintf(from, port))
				}
				rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String())
				if len(rep.Lost) != 1 || rep.Lost[0].Sender != c.lost || rep.Lost[0].Example.HELO != "localhost" {
					t.Errorf("port %q: %+v", port, rep.Lost)
				}
			}
		})
	}
	// A guesser who shares an address with a user is no user.
	var w writing
	w.say(0, "1xVTqX-0005xx-2c <= bob@example.net H=(pc) [192.0.2.9] P=esmtpa A=plain:bob S=258 id=1@example.org for a@example.org")
	for n := range 30 {
		w.say(time.Duration(n)*time.Second, "H=(x.example.com) [192.0.2.9] F=<x@example.com> rejected RCPT <nosuch%d@example.net>: Unrouteable address", n)
		w.say(time.Duration(n)*time.Second, "plain authenticator failed for (x.example.com) [192.0.2.9]: 535 Incorrect authentication data (set_id=u%d)", n)
	}
	if rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String()); rep.Enforced.Bans == 0 || rep.Attempts.Met == 0 || rep.Enforced.TakenRefused > 0 {
		t.Errorf("%+v, %+v", rep.Enforced, rep.Attempts)
	}
}

func TestWhoeverIsNotListedIsCounted(t *testing.T) {
	var log strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&log, "2026-11-20 10:%02d:%02d 1vLxxx-0%05d-2c <= s%d@example.com H=(localhost) [203.0.%d.%d]:%d P=esmtp S=1000 id=%d@example.com for u@lab.example\n",
			i/60, i%60, i, i, i/250, i%250, 1000+i, i)
	}
	rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", log.String())
	var text, page bytes.Buffer
	if err := errors.Join(rep.Text(&text), rep.HTML(&page)); err != nil {
		t.Fatal(err)
	}
	if rep.Enforced.TakenRefused != 3000 || len(rep.Lost) != 100 || !strings.Contains(text.String(), "\n2990 messages of other senders: --json lists 100 senders\n") ||
		!regexp.MustCompile(`And 2.?900 messages of further senders`).MatchString(page.String()) {
		t.Errorf("of 3000 senders: %+v, %d listed\n%s", rep.Enforced, len(rep.Lost), regexp.MustCompile(`.*(senders|2.?9.0).*`).FindAllString(text.String()+page.String(), 5))
	}
}
