package policy

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The first enforced objection decides, so the order is a promise.
func TestTheOrderOfTheRules(t *testing.T) {
	const want = "nobody.N1 helo.H1 helo.H17 helo.H2 helo.H3 helo.H4 helo.H5 helo.H6 helo.H7 helo.H8 helo.H9 helo.H10 " +
		"helo.H11 helo.H12 helo.H13 helo.H14 helo.H15 helo.H16 " +
		"dictionary.hard dictionary.window dictionary.spread dictionary.trap dictionary.delay ptr.P1 ptr.P2 rbl.L1 messageid.M1 messageid.M2 messageid.M3 messageid.M4 messageid.M5 messageid.M8 auth.AU1 origin.N5"
	var names []string
	for _, b := range Bind(Table(), nil, Enforce) {
		names = append(names, b.Name)
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Exim asks at these stages only, and a policy that scores never reaches a refusal alone.
func TestThePolicies(t *testing.T) {
	want := map[string]struct {
		stages []Stage
		max    Score
	}{
		"nobody":     {[]Stage{RCPT, NotSMTP}, 0},
		"helo":       {[]Stage{RCPT}, 40},
		"dictionary": {[]Stage{RCPT, Data}, 0},
		"ptr":        {[]Stage{RCPT}, 20},
		"rbl":        {[]Stage{RCPT}, 49},
		"messageid":  {[]Stage{Data}, 40},
		"auth":       {[]Stage{Quit, NotQuit}, 0},
		"origin":     {[]Stage{Data, NotSMTP}, 0},
	}
	for _, p := range Table() {
		w, ok := want[p.Name]
		if !ok || p.About == "" || p.Cap != w.max || p.Cap >= RefuseAt {
			t.Errorf("%+v", p)
		}
		for s := NoStage; s <= NotSMTP; s++ {
			if p.Stages.Has(s) != slices.Contains(w.stages, s) {
				t.Errorf("%s at %s: %v", p.Name, s, p.Stages.Has(s))
			}
		}
		delete(want, p.Name)
		if a, b := p.New(), p.New(); a == b && p.Name != "ptr" { // which has no settings
			t.Errorf("%s hands out one settings struct for all", p.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

var (
	permanent = regexp.MustCompile(`^5[0-9][0-9] 5\.[0-9]{1,3}\.[0-9]{1,3}$`)
	transient = regexp.MustCompile(`^4[0-9][0-9] 4\.[0-9]{1,3}\.[0-9]{1,3}$`)
)

// An answer's code fits its action, or Exim replaces it and writes to its panic log; a soft one is below the threshold. At
// the end of a session there is nobody to answer, and who sent a message is no objection.
func checkAnswer(t *testing.T, rule string, a Answer, most Score) {
	t.Helper()
	switch {
	case strings.HasPrefix(rule, "auth."), strings.HasPrefix(rule, "origin."):
		if a != (Answer{}) {
			t.Errorf("%s answers %+v", rule, a)
		}
	case a.Action == Dunno:
		if a.Code != "" || a.Score == 0 || a.Score < 0 && most != 49 || a.Score > most { // lists may speak for a sender
			t.Errorf("%s scores %+v", rule, a)
		}
	case a.Score != 0:
		t.Errorf("%s refuses and scores: %+v", rule, a)
	case (a.Action == Deny || a.Action == Drop) && !permanent.MatchString(a.Code),
		a.Action == Defer && !transient.MatchString(a.Code),
		a.Action == Delay && (a.Code != "" || !strings.HasPrefix(rule, "dictionary.delay")),
		a.Action == Freeze && (a.Code != "" || !strings.HasPrefix(rule, "nobody.N1,")): // its verdict's own answer
		t.Errorf("%s answers %+v", rule, a)
	}
}

func TestTheAnswersOfTheRules(t *testing.T) {
	seen, titles := map[string]bool{}, map[string]bool{}
	for _, b := range Bind(Table(), nil, Enforce) {
		if seen[b.Name] || titles[b.Title] || b.Title == "" || b.ID == "" || b.Judge == nil {
			t.Errorf("%+v", b)
		}
		seen[b.Name], titles[b.Title] = true, true
		for _, a := range b.Answers {
			checkAnswer(t, b.Name, a, b.Policy.Cap)
			checkAnswer(t, b.Name, a.Graced(), b.Policy.Cap)
		}
		if b.Needs&^(NeedAccount|NeedGreetings|NeedAllMail|NeedDNS|NeedTried|NeedProgram) != 0 || b.Needs&NeedListText != 0 {
			t.Errorf("%s needs %b", b.Name, b.Needs)
		}
	}
	most := map[string]Score{"helo": 40, "ptr": 20, "rbl": 49, "messageid": 40}
	for _, e := range allExamples() {
		v, answers := build(e.given).judge(t, e.rule)
		if name, _, _ := strings.Cut(e.rule, "."); v.Hit {
			for _, a := range answers {
				checkAnswer(t, e.rule+", "+e.name, a, most[name])
			}
		}
	}
}

// The columns lenient, rfc and strict of the design's tables; a verdict may lower them, see the case tables.
func TestTheAnswersAreThoseOfTheDesign(t *testing.T) {
	want := map[string]string{
		"nobody.N1": "deny deny deny",
		"helo.H1":   "deny 503 5.5.1 deny 503 5.5.1 deny 503 5.5.1", "helo.H17": "deny deny deny", "helo.H2": "deny deny deny",
		"helo.H3": "deny deny deny", "helo.H4": "3.5 4.0 4.0", "helo.H5": "deny deny deny", "helo.H6": "3.0 deny deny", "helo.H7": "deny deny deny",
		"helo.H8": "2.0 deny deny", "helo.H9": "2.0 deny deny", "helo.H10": "1.5 2.5 deny",
		"helo.H11": "1.0 2.0 3.0", "helo.H12": "0.5 1.0 2.0", "helo.H15": "2.0 3.0 4.0", "helo.H16": "4.0 4.0 4.0",
		"dictionary.hard": "drop 550 5.7.1 drop 550 5.7.1 drop 550 5.7.1", "dictionary.window": "defer defer defer",
		"dictionary.spread": "defer defer defer", "dictionary.trap": "defer defer defer", "dictionary.delay": "delay delay delay",
		"ptr.P1": "2.0 2.0 2.0", "ptr.P2": "1.0 1.0 1.0", "rbl.L1": "deny deny deny", "helo.H13": "2.0 2.5 3.5",
		"helo.H14": "1.0 2.0 deny", "messageid.M1": "2.5 deny deny", "messageid.M2": "2.0 deny deny", "messageid.M3": "2.5 deny deny",
		"messageid.M4": "0.5 0.5 0.5", "messageid.M5": "1.0 2.0 3.5", "messageid.M8": "1.0 1.0 1.0",
		"auth.AU1": "none none none", "origin.N5": "none none none",
	}
	for _, b := range Bind(Table(), nil, Enforce) {
		if got := outcome(Verdict{Hit: true}, b.Answers); got != want[b.Name] {
			t.Errorf("%s: got %s, want %s", b.Name, got, want[b.Name])
		}
	}
}

// H8 to H13 judge one thing, how good a name is, and count once.
func TestTheGroups(t *testing.T) {
	for _, b := range Bind(Table(), nil, Enforce) {
		group := ""
		switch b.Name {
		case "helo.H8", "helo.H9", "helo.H10", "helo.H11", "helo.H12", "helo.H13":
			group = "quality"
		}
		if b.Group != group {
			t.Errorf("%s is of group %q", b.Name, b.Group)
		}
	}
}

// The defaults of every setting, as the manual has them.
func TestTheDefaults(t *testing.T) {
	for _, p := range Table() {
		switch s := p.New().(type) {
		case *HELO:
			if len(s.Robots) != 1 || s.Robots[0] != "ylmf-pc" || len(s.Check()) > 0 {
				t.Errorf("%+v", s)
			}
			for _, domain := range []string{"google.com", "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "aol.com", "icloud.com",
				"gmx.net", "web.de", "mail.ru", "yandex.ru", "qq.com"} {
				if families(s.Providers)[domain] == nil {
					t.Errorf("%s is no provider's", domain)
				}
			}
		case *PTR:
		case *Dictionary:
			if want := (Dictionary{Hard: 5, Window: 20, Connections: 5, Spread: 60, Ratio: 0.5, SpreadRatio: 0.8, MaxConnections: 20}); !reflect.DeepEqual(*s, want) {
				t.Errorf("%+v", s)
			}
		case *Logins:
			if s.Failures != 10 {
				t.Errorf("%+v", s)
			}
		case *RBL:
			if s.Threshold != 5 || strings.Join(s.Names, " ") != "helo sender ptr" || len(s.Zones) == 0 || len(s.NameZones) == 0 || len(s.Check()) > 0 {
				t.Errorf("%+v", s)
			}
		case *MessageID:
			if s.DateAhead != 2 || s.DateOld != 15 || len(s.ExceptSenders) != 0 {
				t.Errorf("%+v", s)
			}
		case *Origin:
			if *s != (Origin{Header: true}) || len(s.Check()) > 0 {
				t.Errorf("%+v", s)
			}
		case *Nobody:
			if len(s.Users) != 1 || s.Users[0] != "nobody" || len(s.AllowUsers)+len(s.AllowDirs)+len(s.AllowSenders) != 0 || s.Action != "deny" {
				t.Errorf("%+v", s)
			}
		default:
			t.Errorf("no defaults are written down for %s", p.Name)
		}
	}
}

// A rule without a row that hits and one that passes could be anything.
func TestEveryRuleHasACaseTable(t *testing.T) {
	hits, passes := map[string]int{}, map[string]int{}
	for _, e := range allExamples() {
		switch e.want {
		case "pass":
			passes[e.rule]++
		case "unknown":
		default:
			hits[e.rule]++
		}
	}
	for _, b := range Bind(Table(), nil, Enforce) {
		if hits[b.Name] == 0 || passes[b.Name] == 0 {
			t.Errorf("%s: %d cases hit, %d pass", b.Name, hits[b.Name], passes[b.Name])
		}
	}
}

// The clean request must pass every rule, or the tables prove less than they say.
func TestNothingIsWrongWithTheCleanRequest(t *testing.T) {
	s := build(nil)
	for _, b := range Bind(Table(), nil, Enforce) {
		if v := b.Judge(&s.q, &s.f); v.Hit || v.Unknown {
			t.Errorf("%s: %+v", b.Name, v)
		}
	}
}

// A request of which nothing is known objects to nothing: unknown never refuses.
func TestNoRuleObjectsToARequestOfWhichNothingIsKnown(t *testing.T) {
	for stage := NoStage; stage <= NotSMTP; stage++ {
		for c := Outside; c < classes; c++ {
			q, f := &Request{Stage: stage}, &Facts{Own: &Own{}, Class: c}
			q.Settle()
			for _, b := range Bind(Table(), nil, Enforce) {
				if v := b.Judge(q, f); v.Hit {
					t.Errorf("%s at %s for %s: %+v", b.Name, stage, c, v)
				}
			}
		}
	}
}

func TestClientTextIsShownShortAndPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                        `""`,
		"mail.example.net":        `"mail.example.net"`,
		"a\r\nb\x00\x1f\x7f\xffü": `"a??b??????"`,
		`"\~ `:                    `"??~ "`,
		strings.Repeat("a", 100):  `"` + strings.Repeat("a", 100) + `"`,
		strings.Repeat("a", 101):  `"` + strings.Repeat("a", 100) + `..."`,
		strings.Repeat("a", 1e6):  `"` + strings.Repeat("a", 100) + `..."`,
	} {
		if got := quoted(in); got != want {
			t.Errorf("%.20q is shown as %s, want %s", in, got, want)
		}
	}
}

func TestSettleMakesOneFormOfEverything(t *testing.T) {
	q := &Request{Client: addr("::ffff:192.0.2.7"), Server: addr("fe80::1%eth0"), Primary: "MX.Example.ORG.", ServerName: "In.Example.ORG.",
		ClientName: "Mail.Example.NET.", HELO: Known("MAIL.example.net.")}
	q.Settle()
	if q.Client != addr("192.0.2.7") || q.Server != addr("fe80::1") || q.Primary != "mx.example.org" ||
		q.ServerName != "in.example.org" || q.ClientName != "mail.example.net" || q.HELO.Value != "MAIL.example.net." ||
		q.Greeting != (HELOName{Kind: HELODomain, Name: "mail.example.net"}) {
		t.Errorf("%+v", q)
	}
}
