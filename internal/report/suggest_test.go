package report_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/report"
)

// following returns a configuration that does what a report suggests.
func following(rep *report.Report, preset string) string {
	modes := map[string][]string{}
	for _, r := range rep.Rules {
		if name, rule, ok := strings.Cut(r.Rule, "."); ok && r.Suggested != "" {
			modes[name] = append(modes[name], fmt.Sprintf("%s = %q", rule, r.Suggested))
		}
	}
	text := presets(preset)
	for name, rules := range modes {
		text += fmt.Sprintf("policy.%s.rules = {%s}\n", name, strings.Join(rules, ", "))
	}
	return text
}

func presets(preset string) string {
	return fmt.Sprintf("policy.helo.preset = %q\npolicy.messageid.preset = %[1]q\n", preset)
}

// busy is a log of clients good and bad, of whom several rules have something to say at once.
func busy(seed uint64) string {
	var w writing
	random := rand.New(rand.NewPCG(seed, 5))
	helos := []string{"mail.example.org", "localhost", "203.0.113.7", "[198.51.100.1]", "mail", "a.b.example.invalid", "ylmf-pc", "bad_name.example.org"}
	ids := []string{"id=1@mail.example.org", "T=none", "id=nonsense", "id=1@192.0.2.1", "id=1@localhost"}
	for n := range 600 {
		at := time.Duration(n) * 31 * time.Second
		net, host := random.IntN(4), random.IntN(30)
		helo := helos[0]
		if random.IntN(10) == 0 {
			helo = helos[random.IntN(len(helos))]
		}
		client := fmt.Sprintf("(%s) [203.0.%d.%d]:%d", helo, 110+net, host, 1024+n)
		switch {
		case random.IntN(2+3*net) == 0: // who guesses is of the first networks, as a rule
			for i := range 1 + random.IntN(8) {
				w.say(at, "H=%s F=<x@example.com> rejected RCPT <nosuch%d@example.net>: Unrouteable address", client, i)
			}
		case random.IntN(8) == 0:
			w.say(at, "plain authenticator failed for %s: 535 Incorrect authentication data (set_id=bob)", client)
		default:
			id := ids[0]
			if random.IntN(12) == 0 {
				id = ids[random.IntN(len(ids))]
			}
			w.say(at, "1xVT%02d-0%05d-2c <= s%d@d%d.example.org H=%s P=esmtp S=2000 %s for alice@example.net", seed, n, random.IntN(20), random.IntN(5), client, id)
		}
	}
	return w.String()
}

// A ban, and a rule that is asked earlier, must not hide what a rule would do by itself.
func TestFollowingWhatIsSuggestedRefusesNothingThatWasTaken(t *testing.T) {
	logs := map[string]string{
		"a rule at DATA that was never asked": "2026-11-23 12:00:00 1xVTqX-0005xp-2c <= s@example.org H=(mail.example.org) [192.0.2.7]:76 P=esmtp S=258 id=1@example.org for a@example.net\n" +
			"2026-11-23 13:00:00 1xVTqX-0005xq-2c <= s@example.org H=(localhost) [192.0.2.9]:77 P=esmtp S=258 for a@example.net\n" +
			"2026-11-23 13:00:01 1xVTqX-0005xr-2c H=(mail.example.org) [192.0.2.8]:78 F=<s@example.org> rejected after DATA: no\n" +
			"Envelope-from: <s@example.org>\nEnvelope-to: <a@example.net>\n  Subject: x\n  Date: Mon, 23 Nov 2026 13:00:00 +0000\n  From: s@example.org\n",
		"a rule that was not asked about who is banned": strings.Repeat("2026-11-23 13:00:00 H=(localhost) [192.0.2.9] F=<x@example.org> rejected RCPT <nosuch@example.net>: Unrouteable address\n", 25) +
			"2026-11-23 13:00:01 1xVTqX-0005xr-2c <= s@example.org H=(localhost) [192.0.2.9] P=esmtp S=258 id=2@example.org for a@example.net\n",
		"what no log tells of mail that was taken": "2026-11-23 13:00:01 1xVTqX-0005xr-2c H=(mail.example.org) [192.0.2.8]:78 F=<s@example.org> rejected after DATA: no\n" +
			"Envelope-from: <s@example.org>\nEnvelope-to: <a@example.net>\nI Message-ID: <1@b>\nI Message-ID: <2@b>\n  Subject: x\n" +
			"2026-11-23 13:00:02 1xVTqX-0005xs-2c <= s@example.org H=(mail.example.org) [192.0.2.8]:79 P=esmtp S=258 id=2@example.org for a@example.net\n",
	}
	for seed := range uint64(8) {
		logs[fmt.Sprintf("a busy log, %d", seed)] = busy(seed)
	}
	lost, enforced := 0, 0
	for name, log := range logs {
		for _, preset := range []string{"lenient", "rfc", "strict"} {
			rep := replay(t, report.Options{Decider: configured(t, presets(preset))}, "mainlog", log)
			for _, r := range rep.Rules {
				if r.Suggested == "enforce" {
					enforced++
				}
				unjudged := slices.ContainsFunc(rep.Unjudged, func(u report.Unjudged) bool { return u.Rule == r.Rule })
				if r.Suggested == "enforce" && (r.Taken > 0 || unjudged) {
					t.Errorf("%s, %s: %+v", name, preset, r)
				}
			}
			lost += rep.Enforced.TakenRefused + rep.Enforced.TakenDeferred
			again := replay(t, report.Options{Decider: configured(t, following(rep, preset))}, "mainlog", log)
			if p := again.Present; p.TakenRefused+p.TakenDeferred > 0 {
				t.Errorf("%s, %s: following what is suggested: %+v\n%+v", name, preset, p, rep.Rules)
			}
		}
	}
	if lost < 1000 || enforced == 0 {
		t.Errorf("%d messages lost, %d rules suggested: too little happens", lost, enforced)
	}
}

var shownID = regexp.MustCompile(` id=\S+`)

// The lines can be copied into a configuration as they stand, and do what they say.
func TestTheExemptionsThatAreSuggestedHelp(t *testing.T) {
	var w writing
	for n := range 24 { // two relays with poor greetings, senders without Message-ID, one of which comes by way of a relay
		w.mail(time.Duration(n)*time.Minute, "(localhost) [198.51.100.9]", 100+n, fmt.Sprintf("s@d%d.example.com", n%4))
		w.mail(time.Duration(n)*time.Minute, "(mail) [2001:db8:1:2::9]", 200+n, fmt.Sprintf("s@d%d.example.com", n%5))
		w.mail(time.Duration(n)*time.Minute, "printer.example.org [192.0.2.9]", 300+n, fmt.Sprintf("scan%d@printer.example.org", n))
		w.mail(time.Duration(n)*time.Minute, "camera.example.net [192.0.2.10]", 400+n, "c@camera.example.net")
		w.mail(time.Duration(n)*time.Minute, "(localhost) [192.0.2.11]", 500+n, "both@both.example.net")
		w.mail(time.Duration(n)*time.Minute, "out.example.org [192.0.2.12]", 600+n, fmt.Sprintf("s@m%d.example.com", n%6))
	}
	log := w.String()
	for _, port := range []string{":3", ":4", ":5", ":6"} { // what is of these has no Message-ID
		var out strings.Builder
		for line := range strings.Lines(log) {
			if i := strings.Index(line, "]"+port); i > 0 && len(line[i+2:]) > 3 && line[i+5] == ' ' {
				line = shownID.ReplaceAllString(line, "")
			}
			out.WriteString(line)
		}
		log = out.String()
	}
	const preset = "rfc"
	rep := replay(t, report.Options{Decider: configured(t, presets(preset))}, "mainlog", log)
	if rep.Enforced.TakenRefused != 6*24 {
		t.Fatalf("%+v", rep.Enforced)
	}
	var got []string
	for _, e := range rep.Exemptions {
		got = append(got, fmt.Sprintf("%s %s %d", e.Key, e.Of, e.Messages))
	}
	want := []string{
		"exempt.relay 198.51.100.9 24", "exempt.relay 2001:db8:1:2::/64 24", // not 192.0.2.12, whose mail has no Message-ID
		"policy.messageid.except_senders camera.example.net 24", "policy.messageid.except_senders printer.example.org 24", // not both.example.net
	}
	for n := range 6 {
		want = append(want, fmt.Sprintf("policy.messageid.except_senders m%d.example.com 4", n))
	}
	if !slices.Equal(got, want) {
		t.Errorf("suggested:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var text bytes.Buffer
	if err := rep.Text(&text); err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(text.String(), "EXEMPTIONS, IF YOU KNOW THEM\n")
	lines, _, _ = strings.Cut(lines, "A key stands once")
	again := replay(t, report.Options{Decider: configured(t, lines+presets(preset))}, "mainlog", log)
	if again.Enforced.TakenRefused != 24 || len(again.Lost) != 1 || again.Lost[0].Sender != "both@both.example.net" || len(again.Exemptions) != 0 {
		t.Errorf("with the lines\n%s%+v, %+v, %+v", lines, again.Enforced, again.Lost, again.Exemptions)
	}
}

// Guesses alone show that a rule would meet them, and not whom else it would meet.
func TestALogWithoutMailThatWasTakenSuggestsNothing(t *testing.T) {
	suggested := func(mail int) (list []string) {
		var w writing
		for n := range 40 {
			w.guess(time.Duration(n)*time.Minute, "203.0.113.9", 1024+n, n)
		}
		for n := range mail {
			w.mail(time.Duration(n)*time.Minute, "(mail.example.org) [198.51.100.7]", 1024+n, "a@example.org")
		}
		for _, r := range replay(t, report.Options{Decider: configured(t, "")}, "mainlog", w.String()).Rules {
			if r.Suggested == "enforce" {
				list = append(list, r.Rule)
			}
		}
		return list
	}
	if list := suggested(0); len(list) > 0 {
		t.Errorf("without mail: %q", list)
	}
	if list := suggested(1); !slices.Contains(list, "dictionary.window") {
		t.Errorf("with mail: %q", list)
	}
}
