package policy

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/rbl"
)

// An example is one row of a case table: a request of an outsider with nothing wrong in it, changed in what the name
// says, and what one rule finds.
type example struct {
	name  string
	rule  string // "helo.H3"
	given []change
	want  string // see outcome
	why   string // part of the reason, where it matters
}

// A scene is a request with the facts and the settings it is judged by.
type scene struct {
	q        Request
	f        Facts
	settings map[string]Settings
}

type change func(*scene)

func with(list ...change) []change { return list }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clean is a request that no rule objects to, at RCPT and at DATA.
func clean() *scene {
	s := &scene{settings: map[string]Settings{}}
	s.q = Request{
		Client: addr("203.0.113.7"), Server: addr("192.0.2.1"), ClientPort: 40000, ServerPort: 25, Protocol: "esmtps",
		Primary: "mx.example.org", ServerName: "active.example.org",
		HELO: Known("mail.example.net"), Sender: Known("anna@example.net"), Recipient: "user@example.org",
		Verify: VerifyOK, RcptCount: 1, Size: -1,
		MessageID: Field{Present: Known(true), Count: Known(1), Value: " <1@mail.example.net>"},
		Date:      Field{Present: Known(true), Count: Known(1), Value: " Mon, 23 Nov 2026 11:59:00 +0000"},
		From:      Field{Present: Known(true), Count: Known(1)},
	}
	s.f = Facts{Now: now, Own: &Own{}, Greetings: []Greeting{{Name: "mail.example.net"}},
		PTR:           rbl.PTR{Status: rbl.PTRConfirmed, Names: []string{"mail.example.net"}},
		HELOAddresses: Addresses{List: addrs("203.0.113.7"), Known: true},
		Lists:         rbl.Report{Subject: "203.0.113.7", Answers: []rbl.Answer{clear("one.test")}},
		Memory:        true, Networks: []Network{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Factor: 3}}}
	for _, p := range Table() {
		s.settings[p.Name] = p.New()
	}
	return s
}

func build(given []change) *scene {
	s := clean()
	for _, c := range given {
		c(s)
	}
	s.q.Settle()
	return s
}

// judge asks one rule of the table under each preset. The verdict must be the same under all of them, as judges do not
// know presets.
func (s *scene) judge(t *testing.T, rule string) (Verdict, [3]Answer) {
	t.Helper()
	var v Verdict
	var answers [3]Answer
	for preset := Lenient; preset <= Strict; preset++ {
		setups := map[string]Setup{}
		for name, settings := range s.settings {
			setups[name] = Setup{Preset: preset, Settings: settings}
		}
		bound := Bind(Table(), setups, Enforce)
		i := slices.IndexFunc(bound, func(b Bound) bool { return b.Name == rule })
		if i < 0 {
			t.Fatalf("no rule %s", rule)
		}
		v = bound[i].Judge(&s.q, &s.f)
		answers[preset] = bound[i].Answer(&v, s.q.Stage, s.f.Now)
	}
	return v, answers
}

// outcome writes a verdict as the tables have it: pass, unknown, tells, or the answers under lenient, rfc and strict, where
// deny is short for deny 550 5.7.1 and defer for defer 451 4.7.1. How long to wait follows, "observe" if the verdict asks
// for it, and then its effects.
func outcome(v Verdict, answers [3]Answer) string {
	if v.Unknown {
		return "unknown"
	}
	var words []string
	switch {
	case v.Source != nil:
		words = append(words, "tells")
	case !v.Hit:
		words = append(words, "pass")
	}
	for _, a := range answers {
		switch {
		case !v.Hit:
		case a == Answer{}:
			words = append(words, "none")
		case a == deny():
			words = append(words, "deny")
		case a == deferred():
			words = append(words, "defer")
		case a.Action != Dunno:
			words = append(words, a.String())
		default:
			words = append(words, a.Score.String())
		}
	}
	if v.Delay > 0 {
		words = append(words, strconv.Itoa(v.Delay)+"s")
	}
	if v.Observe {
		words = append(words, "observe")
	}
	for _, e := range v.Effects {
		word := map[EffectKind]string{Offence: "offence", Ban: "ban", Trap: "trap"}[e.Kind]
		if e.Network.IsValid() {
			word += " " + e.Network.String()
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// refuses reports whether a client is shown a text, now or together with other scores.
func refuses(answers [3]Answer) bool {
	return !slices.Contains(answers[:], Answer{}) && !slices.Contains(answers[:], Answer{Action: Delay})
}

// oneLine is what the text for a client may be made of: no octet of his own that could end the line or a quote.
var oneLine = regexp.MustCompile(`^[ -~]+$`)

func runExamples(t *testing.T, list []example) {
	t.Helper()
	for _, e := range list {
		t.Run(e.rule+" "+e.name, func(t *testing.T) {
			s := build(e.given)
			s.f.Traced = false
			quiet, _ := s.judge(t, e.rule)
			s.f.Traced = true
			v, answers := s.judge(t, e.rule)
			if !v.Hit {
				quiet.Reason = v.Reason
			}
			if d := cmp.Diff(v, quiet, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("it depends on who reads the reason:\n%s", d)
			}
			if got := outcome(v, answers); got != e.want {
				t.Errorf("got %s (%s)\nwant %s", got, v.Reason, e.want)
			}
			if !strings.Contains(v.Reason, e.why) {
				t.Errorf("reason %q lacks %q", v.Reason, e.why)
			}
			switch {
			case v.Hit && v.Unknown:
				t.Error("both hit and unknown")
			case v.Hit && refuses(answers) && !oneLine.MatchString(v.Text), v.Text != "" && !v.Hit:
				t.Errorf("text %q", v.Text)
			case (v.Hit || v.Unknown) && !oneLine.MatchString(v.Reason), len(v.Reason) > 600:
				t.Errorf("reason %q", v.Reason)
			case !v.Hit && (v.Observe || v.Answers != nil || v.Delay != 0 || v.Wants != 0 ||
				slices.ContainsFunc(v.Effects, func(e Effect) bool { return e.Kind != Trap })): // which is only noted
				t.Errorf("%+v without a hit", v)
			}
			if strings.Contains(v.Text, "example") || strings.Contains(v.Text, "203.0") {
				t.Errorf("client octets in the text %q", v.Text)
			}
		})
	}
}

// allExamples is every case table of the package.
func allExamples() []example {
	return slices.Concat(heloForgeries(), heloAddresses(), heloNames(), heloQuality(), heloSpelled(), heloChanges(),
		heloHosted(), heloUnresolved(), heloElsewhere(), heloProviders(), ptrExamples(), rblExamples(),
		idMissing(), idSyntax(), idDomain(), idOurs(), idDates(), nobodyExamples(), nobodyOverTCP(), nobodyOnHold(), heloMany(),
		dictionaryHard(), dictionaryWindow(), dictionarySpread(), dictionaryTrap(), dictionaryDelay(), shields(), authExamples(),
		originExamples())
}

// A judge that wrote to the request would change what the next rule, or the log, sees.
func TestNoJudgeChangesTheRequestOrTheFacts(t *testing.T) {
	for _, e := range allExamples() {
		s, same := build(e.given), build(e.given)
		for _, b := range Bind(Table(), nil, Enforce) {
			b.Judge(&s.q, &s.f)
		}
		s.judge(t, e.rule)
		opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
			cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b rbl.Pattern) bool { return a == b }),
			cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
		if diff := cmp.Diff(same.q, s.q, opts); diff != "" {
			t.Errorf("%s, %s: the request changed:\n%s", e.rule, e.name, diff)
		}
		if diff := cmp.Diff(same.f, s.f, opts); diff != "" {
			t.Errorf("%s, %s: the facts changed:\n%s", e.rule, e.name, diff)
		}
		if diff := cmp.Diff(same.settings, s.settings, opts); diff != "" {
			t.Errorf("%s, %s: the settings changed:\n%s", e.rule, e.name, diff)
		}
	}
}

// A rule gets only the costly facts that it declared; one it reads beyond those would be a coincidence of what other
// rules need.
func TestARuleReadsNoFactThatItDoesNotDeclare(t *testing.T) {
	needs := map[string]Need{}
	for _, b := range Bind(Table(), nil, Enforce) {
		needs[b.Name] = b.Needs
	}
	read := map[string]Need{}
	same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	for _, e := range allExamples() {
		full := build(e.given)
		v, answers := full.judge(t, e.rule)
		needs[e.rule] |= v.Wants // which a verdict declares for itself
		for need, blank := range map[Need]func(*Facts){
			NeedAccount:   func(f *Facts) { f.Account = "" },
			NeedGreetings: func(f *Facts) { f.Greetings = nil },
			NeedAllMail:   func(f *Facts) { f.OnlyPostmaster = !f.OnlyPostmaster },

			NeedLists:         func(f *Facts) { f.Lists = rbl.Report{} },
			NeedNameLists:     func(f *Facts) { f.NameLists = nil },
			NeedPTR:           func(f *Facts) { f.PTR, f.ClientName = rbl.PTR{}, "" },
			NeedHELOAddresses: func(f *Facts) { f.HELOAddresses = Addresses{} },
			NeedHosted:        func(f *Facts) { f.Hosted = Addresses{} },
			NeedListText:      func(f *Facts) { f.ListText = "" },

			NeedTried: func(f *Facts) {
				f.Memory, f.Here, f.Client, f.Networks, f.OnlyWayIn = false, Here{}, Tried{}, nil, false
			},
			NeedHold:    func(f *Facts) { f.Held = Maybe[int]{} },
			NeedProgram: func(f *Facts) { f.Program = Program{} },
		} {
			s := build(e.given)
			blank(&s.f)
			if w, a := s.judge(t, e.rule); !cmp.Equal(v, w, same) || a != answers {
				read[e.rule] |= need
			}
		}
	}
	for name, declared := range needs {
		if read[name] != declared {
			t.Errorf("%s declares needs %b and reads %b", name, declared, read[name])
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, addr(s))
	}
	return out
}

func set(list ...string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

func prefixes(list ...string) *Prefixes {
	p := &Prefixes{}
	for _, s := range list {
		p.Add(netip.MustParsePrefix(s))
	}
	return p
}

func client(s string) change      { return func(c *scene) { c.q.Client = addr(s) } }
func server(s string) change      { return func(c *scene) { c.q.Server = addr(s) } }
func helo(s string) change        { return func(c *scene) { c.q.HELO = Known(s) } }
func sender(s string) change      { return func(c *scene) { c.q.Sender = Known(s) } }
func stage(s Stage) change        { return func(c *scene) { c.q.Stage = s } }
func class(k Class) change        { return func(c *scene) { c.f.Class = k } }
func ownNames(l ...string) change { return func(c *scene) { c.f.Own.Names = set(l...) } }
func ownAddresses(l ...string) change {
	return func(c *scene) { c.f.Own.Addresses = addrs(l...) }
}
func ownDomains(l ...string) change { return func(c *scene) { c.f.Own.Domains = set(l...) } }
func interfaces(l ...string) change { return func(c *scene) { c.f.Interfaces = addrs(l...) } }
