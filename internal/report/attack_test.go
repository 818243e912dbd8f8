package report_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/report"
)

// writing is a log that is being written, entry by entry, in the order of time.
type writing struct {
	entries []entry
	ids     int
}

type entry struct {
	at   time.Time
	text string
}

var began = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func (w *writing) say(after time.Duration, format string, args ...any) {
	w.entries = append(w.entries, entry{began.Add(after), fmt.Sprintf(format, args...)})
}

func (w *writing) guess(after time.Duration, client string, port, n int) {
	w.say(after, "H=(x.example.com) [%s]:%d F=<x@example.com> rejected RCPT <nosuch%d@example.net>: Unrouteable address", client, port, n)
}

func (w *writing) mail(after time.Duration, host string, port int, sender string) {
	w.ids++
	w.say(after, "1xVT%02d-0%05d-2c <= %s H=%s:%d P=esmtps S=2000 id=%d@mail.example.org for alice@example.net", w.ids/100000, w.ids%100000, sender, host, port, w.ids)
}

func (w *writing) String() string {
	slices.SortStableFunc(w.entries, func(a, b entry) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, e := range w.entries {
		b.WriteString(e.at.Format("2006-01-02 15:04:05 ") + e.text + "\n")
	}
	return b.String()
}

// An attack of a whole /24, each of whose addresses keeps below the limits, honest mail from elsewhere and of a neighbour,
// and a mailing list some of whose members are gone.
func TestAnAttackMeetsBansAndHonestMailDoesNot(t *testing.T) {
	var w writing
	attempts := 0
	for n := range 6 * 3600 / 5 { // every five seconds one of 40 addresses, four recipients a connection
		client, at := fmt.Sprintf("203.0.113.%d", 10+n%40), time.Duration(n)*5*time.Second
		for i := range 4 {
			w.guess(at, client, 1024+n, 4*n+i)
			attempts++
		}
		if n%20 == 0 {
			w.say(at, "login authenticator failed for (x) [%s]:%d: 535 Incorrect authentication data (set_id=bob)", client, 1024+n)
			attempts++
		}
	}
	for n := range 400 {
		at := time.Duration(n) * 50 * time.Second
		w.mail(at, fmt.Sprintf("mail.example.org [198.51.100.%d]", 1+n%50), 2000+n, fmt.Sprintf("s%d@example.org", n%70))
	}
	for n := range 206 { // the list
		at, host := time.Duration(n)*60*time.Second, "list.example.org [192.0.2.77]"
		if n%34 == 5 {
			w.say(at, "H=%s:%d F=<bounce@list.example.org> rejected RCPT <gone%d@example.net>: Unrouteable address", host, 3000+n, n)
			continue
		}
		w.mail(at, host, 3000+n, "bounce@list.example.org")
	}
	rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String())
	if rep.Enforced.Taken != 600 || rep.Enforced.TakenRefused+rep.Enforced.TakenDeferred != 0 || len(rep.Lost) != 0 {
		t.Errorf("honest mail: %+v, %+v", rep.Enforced, rep.Lost)
	}
	a := rep.Attempts
	if got := a.Guesses + a.Logins; got != attempts+6 || a.Met*100 < 95*got || a.Refused*100 < 90*got {
		t.Errorf("attempts: %+v of %d", a, attempts)
	}
	for _, c := range rep.Attackers {
		if !strings.HasPrefix(c.Network, "203.0.113.") {
			t.Errorf("%s is an attacker: %+v", c.Network, c)
		}
	}
	if len(rep.Networks) != 1 || rep.Networks[0].Network != "203.0.113.0/24" || rep.Networks[0].Attempts != attempts {
		t.Errorf("networks: %+v", rep.Networks)
	}
	rule := func(name string) report.Rule {
		return rep.Rules[slices.IndexFunc(rep.Rules, func(r report.Rule) bool { return r.Rule == name })]
	}
	if r := rule("dictionary.spread"); r.Bans == 0 || r.Suggested != "enforce" || r.Taken != 0 {
		t.Errorf("%+v", r)
	}
	t.Logf("FIGURE attack of 40 addresses of a /24 in 6 h: %d attempts, %.1f %% met by a ban, %.1f %% not served; honest mail refused: %d of %d",
		a.All, 100*float64(a.Met)/float64(a.All), 100*float64(a.Refused)/float64(a.All), rep.Enforced.TakenRefused+rep.Enforced.TakenDeferred, rep.Enforced.Taken)
}

// An honest client of a network that is banned is among those that are told of, first and with what shut it out.
func TestMailOfAnHonestNeighbourIsTold(t *testing.T) {
	var w writing
	for n := range 200 {
		w.guess(time.Duration(n)*10*time.Second, fmt.Sprintf("203.0.113.%d", 10+n%20), 1024+n, n)
	}
	for n := range 8 {
		w.mail(40*time.Minute+time.Duration(n)*time.Second, "mail.example.org [203.0.113.99]", 4000+n, fmt.Sprintf("s@d%d.example.org", n%4))
	}
	rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String())
	if rep.Enforced.TakenDeferred != 8 || len(rep.Lost) != 4 || rep.Lost[0].Example.Rule != "ban" || rep.Lost[0].Example.Trace == nil ||
		!slices.Contains(rep.Lost[0].Rules, "dictionary.spread") {
		t.Errorf("%+v", rep.Lost)
	}
	if len(rep.Exemptions) != 1 || rep.Exemptions[0].Line != `exempt.relay = ["203.0.113.99"]` {
		t.Errorf("%+v", rep.Exemptions)
	}
	for _, r := range rep.Rules {
		if r.Rule == "dictionary.spread" && (r.Taken != 8 || r.Suggested != "observe") {
			t.Errorf("%+v", r)
		}
	}
	// The line that is suggested helps.
	rep = replay(t, report.Options{Decider: configured(t, rep.Exemptions[0].Line)}, "mainlog", w.String())
	if len(rep.Lost) != 0 {
		t.Errorf("with the line: %+v", rep.Lost)
	}
}

// What a log does not tell is held against nobody.
func TestNothingIsHeldAgainstAnybodyThatTheLogDoesNotTell(t *testing.T) {
	for _, c := range []struct{ name, log string }{
		{"several connections that look like one",
			strings.Repeat("2026-11-23 13:00:00 H=(a.example.org) [192.0.2.9] F=<x@example.org> rejected RCPT <nosuch@example.net>: Unrouteable address\n", 19)},
		{"greetings that change in them",
			"2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258 id=1@example.org\n" +
				"2026-11-23 13:00:01 1xVTqX-0005xr-2c <= s@example.org H=(b.example.org) [192.0.2.9] P=esmtp S=258 id=2@example.org\n"},
		{"no Message-ID is shown", "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258\n"},
		{"Exim made the Message-ID", "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258 id*=E1xVTqX-0005xq-2c@mx.example.com\n"},
		{"no Message-ID is shown before one is", "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258\n" +
			"2026-11-23 13:00:01 1xVTqX-0005xr-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258 id=1@example.org\n"},
		{"no greeting is shown", "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=[192.0.2.9] P=smtp S=258 id=1@example.org\n"},
		{"no recipient is shown of mail with a trap", "2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258 id=1@example.org for trap@example.net\n" +
			"2026-11-23 13:00:01 1xVTqX-0005xr-2c <= s@example.org H=(a.example.org) [192.0.2.9] P=esmtp S=258 id=1@example.org for trap@example.net\n"},
		{"guesses of bounces", strings.Repeat("2026-11-23 13:00:00 H=(a.example.org) [192.0.2.9]:77 F=<> rejected RCPT <nosuch@example.net>: Unrouteable address\n", 99)},
		{"entries of two clients",
			strings.Repeat("2026-11-23 13:40:00 H=(evil) [192.0.2.1] F=<> rejected RCPT <victim@example.net>: Unrouteable address) [203.0.113.66]:4013 F=<x@example.org> rejected RCPT <nosuch@example.net>: Unrouteable address\n", 99)},
		{"a user of somewhere else", "2026-11-23 13:12:50 1xVTqk-0006FJ-1W <= www@example.net U=stranger P=local S=359\n" +
			"2026-11-23 13:12:51 1xVTqk-0006FJ-1W => x@example.com R=dnslookup T=remote_smtp H=mx.example.com [198.51.100.25]\n"},
		{"mail whose recipients nobody tells", "2026-11-23 13:12:50 1xVTqk-0006FJ-1W <= nobody@example.net U=nobody P=local S=359\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := report.Options{Decider: configured(t, "policy.dictionary.traps = [\"trap@example.net\"]\npolicy.messageid.preset = \"strict\"\npolicy.helo.preset = \"strict\"\n[own]\nnames = [\"mx.example.net\"]\n")}
			accounts(&o)
			rep := replay(t, o, "mainlog", c.log)
			if s := rep.Enforced; s.TakenRefused+s.TakenDeferred+s.Marked+s.Refused+s.Deferred+s.Held+s.Bans != 0 {
				t.Errorf("%+v\n%+v", s, rep.Lost)
			}
		})
	}
}

// Bans go by what all clients of a network do meanwhile: connections are judged by the order of what happens in them.
func TestWhatHappensInLongConnectionsIsJudgedWhenItHappens(t *testing.T) {
	var w writing
	w.mail(0, "mail.example.org [203.0.113.99]", 4000, "first@example.org") // before the attack
	for n := range 150 {
		w.guess(time.Minute+time.Duration(n)*time.Second, fmt.Sprintf("203.0.113.%d", 10+n%30), 1024+n%30, n)
	}
	w.mail(5*time.Minute, "mail.example.org [203.0.113.99]", 4000, "second@example.org") // the same connection
	rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String())
	if rep.Log.Connections != 31 || len(rep.Lost) != 1 || rep.Lost[0].Sender != "second@example.org" {
		t.Errorf("%d connections, %+v", rep.Log.Connections, rep.Lost)
	}
}

// Exim shows each Message-ID that it can read: where some are shown, one that is not is not there. Where none is shown any
// more, somebody has changed log_selector.
func TestAMessageIDThatIsNotShownAmongOthersIsMissing(t *testing.T) {
	var w writing
	w.mail(0, "mail.example.org [198.51.100.8]", 99, "s@example.org")
	for n := range 50 {
		w.say(time.Duration(n+1)*time.Minute, "1xVTaa-0%05d-2c <= scan@example.com H=mail.example.com [198.51.100.9]:%d P=esmtps S=2000 for alice@example.net", n, 100+n)
	}
	w.say(time.Hour, "1xVTab-000000-2c <= www@example.net U=www-data P=local S=300 for alice@example.net")
	rep := replay(t, report.Options{Decider: configured(t, `policy.messageid.preset = "rfc"`)}, "mainlog", w.String())
	if len(rep.Lost) != 1 || rep.Lost[0].Messages != 20 || rep.Lost[0].Example.Rule != "messageid.M1" || rep.Enforced.TakenRefused != 20 {
		t.Errorf("%+v, %+v", rep.Enforced, rep.Lost)
	}
}

func TestAMessageIDRuleSuggestsADomainOfSenders(t *testing.T) {
	var w writing
	w.mail(0, "mail.example.org [198.51.100.8]", 99, "s@example.org")
	for n := range 4 {
		w.say(time.Duration(n+1)*time.Minute, "1xVTaa-0%05d-2c <= scan@printer.example.org H=printer.example.org [198.51.100.9]:%d P=esmtps S=2000 for alice@example.net", n, 100+n)
	}
	log := w.String()
	rep := replay(t, report.Options{Decider: configured(t, `policy.messageid.preset = "rfc"`)}, "mainlog", log)
	if len(rep.Exemptions) != 1 || rep.Exemptions[0].Line != `policy.messageid.except_senders = ["printer.example.org"]` {
		t.Errorf("%+v", rep.Exemptions)
	}
}

func TestOnlyWhatTwoConfigurationsDecideDifferentlyIsTold(t *testing.T) {
	log := read(t, "testdata/facts.log")
	against := func(a, b string) *report.Differences {
		o := report.Options{Decider: configured(t, a), Against: configured(t, b)}
		accounts(&o)
		rep := replay(t, o, "mainlog", log)
		if rep.Rules != nil || rep.Lost != nil || rep.Differences == nil {
			t.Fatalf("%+v", rep)
		}
		return rep.Differences
	}
	if d := against("", ""); d.Differ != 0 || d.Events == 0 {
		t.Errorf("the same: %+v", d)
	}
	logins := "2026-11-23 13:00:00 plain authenticator failed for (x) [203.0.113.9]:77 I=[192.0.2.25]:25: 535 Incorrect authentication data (set_id=bob)\n"
	for _, o := range []report.Options{
		{Decider: configured(t, ""), Against: configured(t, `exempt.deny = ["203.0.113.0/24"]`)},
		{Decider: configured(t, `exempt.deny = ["203.0.113.0/24"]`), Against: configured(t, "")},
	} {
		if d := replay(t, o, "mainlog", logins).Differences; d.Differ != 1 || d.Events != 1 || d.Kinds[0].Examples[0].What != "login" {
			t.Errorf("who is shut out and only tries to log in: %+v", d)
		}
	}
	d := against("", `policy.helo.rules = {H7 = "enforce"}`)
	if d.Differ != 1 || d.Taken != 1 || d.Kinds[0].This != "would deny by helo.H7" || d.Kinds[0].That != "deny by helo.H7" || d.Kinds[0].Examples[0].Sender != "s@example.org" {
		t.Errorf("enforced: %+v", d)
	}
	d = against("", "policy.dictionary.hard = 3")
	if d.Differ != 2 || d.Taken != 0 || d.Kinds[0].This != "passed" || d.Kinds[0].That != "would drop by dictionary.hard" {
		t.Errorf("a lower limit: %+v", d)
	}
}

func TestABanThatIsOnlyObservedIsNoneOfThePresentModes(t *testing.T) {
	var log strings.Builder
	for i := range 40 {
		fmt.Fprintf(&log, "2026-11-20 10:%02d:00 [%d] H=(x.example) [203.0.113.6] F=<x@y.example> rejected RCPT <n%d@lab.example>: Unrouteable address\n", i, 100+i, i)
	}
	for toml, want := range map[string]int{
		"":                                     0,
		`policy.helo.rules = {H3 = "enforce"}`: 0, // and the guesser is only observed
		`policy.dictionary.mode = "enforce"`:   1,
	} {
		rep := replay(t, report.Options{Decider: configured(t, toml)}, "mainlog", log.String())
		if rep.Enforced.Bans != 1 || rep.Present.Bans != want {
			t.Errorf("%q: %d bans, and %d by the present modes, want 1 and %d", toml, rep.Enforced.Bans, rep.Present.Bans, want)
		}
	}
	if rep := replay(t, report.Options{Decider: configured(t, "")}, "mainlog", "2026-11-20 10:00:00 Start queue run: pid=1\n"); rep.Days == nil {
		t.Error("without a day the list of days is none, which in JSON is null")
	}
}
