package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/rbl"
)

func TestRBL(t *testing.T) { runExamples(t, rblExamples()) }

// entry reads an entry of a configuration, which is right.
func entry(text string) rbl.Entry {
	var e rbl.Entry
	if err := e.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return e
}

// listedBy is an answer of a zone with codes; the zone is its own operator.
func listedBy(zone string, codes ...rbl.Code) rbl.Answer {
	zones, err := rbl.Zones(rbl.OfAddresses, []rbl.Entry{entry(zone)})
	if err != nil {
		panic(err)
	}
	return rbl.Answer{Zone: zones[0], Status: rbl.Listed, Codes: codes}
}

func clear(zone string) rbl.Answer {
	a := listedBy(zone)
	a.Status = rbl.Clear
	return a
}

func unanswered(zone, why string) rbl.Answer {
	a := listedBy(zone)
	a.Status, a.Why = rbl.Unknown, why
	return a
}

// of makes an operator of several zones.
func of(operator string, a rbl.Answer) rbl.Answer {
	a.Zone.Operator = operator
	return a
}

// at2 is the code of most lists.
var at2 = rbl.Code{0, 0, 2}

func rblExamples() []example {
	lists := func(list ...rbl.Answer) change {
		return func(s *scene) { s.f.Lists = rbl.Report{Subject: "203.0.113.7", Answers: list} }
	}
	names := func(of, subject string, list ...rbl.Answer) change {
		return func(s *scene) {
			s.f.NameLists = append(s.f.NameLists, NameReport{Of: of, Report: rbl.Report{Subject: subject, Answers: list}})
		}
	}
	threshold := func(n float64) change { return func(s *scene) { s.settings["rbl"].(*RBL).Threshold = n } }
	listText := func(text string) change { return func(s *scene) { s.f.ListText = text } }
	nobody := func(s *scene) { s.settings["rbl"] = &RBL{Threshold: 5} }
	keyed := listedBy("0123456789abcdefghijklmnop.zen.dq.spamhaus.net", at2)
	const hard = "deny deny deny"
	return []example{
		{"one list is enough", "rbl.L1", with(lists(listedBy("one.test=127.0.0.2*5", at2))), hard, "listed by one.test 127.0.0.2 5.0; together 5.0, refused at 5.0"},
		{"two lists reach the threshold", "rbl.L1", with(lists(listedBy("one.test*2.5", at2), clear("two.test"), listedBy("three.test*2.5", at2))), hard, "one.test 127.0.0.2 2.5, three.test 127.0.0.2 2.5; together 5.0"},
		{"a list of names and one of addresses reach the threshold", "rbl.L1", with(lists(listedBy("one.test*2.5", at2)), names("HELO", "mail.example.net", listedBy("names.test*2.5", at2))), hard, `one.test 127.0.0.2 2.5, HELO "mail.example.net" by names.test 127.0.0.2 2.5; together`},
		{"names alone", "rbl.L1", with(lists(clear("one.test")), names("sender", "example.net", listedBy("names.test*4", at2)), names("PTR", "mail.example.net", listedBy("more.test*1", at2))), hard, `sender "example.net" by names.test`},
		{"a listing while other lists are silent", "rbl.L1", with(lists(unanswered("one.test", "no answer"), listedBy("two.test*5", at2))), hard, ""},
		{"two codes of which one counts", "rbl.L1", with(lists(listedBy("one.test=127.0.0.2*5", at2, rbl.Code{0, 0, 9}))), hard, "127.0.0.2 127.0.0.9 5.0"},
		{"a threshold that the sum reaches", "rbl.L1", with(threshold(0.1), lists(listedBy("one.test*0.1", at2))), hard, "together 0.1, refused at 0.1"},
		{"a sum far above the threshold", "rbl.L1", with(threshold(100), lists(listedBy("one.test*60", at2), listedBy("two.test*40", at2))), hard, "together 100.0, refused at 100.0"},
		{"a good sender that is still over the threshold", "rbl.L1", with(lists(listedBy("one.test*6", at2), listedBy("good.test*-1", at2))), hard, "together 5.0"},
		{"a keyed list", "rbl.L1", with(lists(keyed)), hard, "***.zen.dq.spamhaus.net 127.0.0.2 SBL: spam source 5.0"},
		{"the list says why", "rbl.L1", with(lists(listedBy("one.test*5", at2)), listText("listed for spam")), hard, ""},
		{"the list's words are no line of ours", "rbl.L1", with(lists(listedBy("one.test*5", at2)), listText("a\r\n\"b\" \xff"+strings.Repeat("x", 300))), hard, ""},
		{"a name with control characters", "rbl.L1", with(names("HELO", "a\nb\"", listedBy("names.test*5", at2))), hard, `HELO "a?b?" by`},
		{"more listings than anybody reads", "rbl.L1", with(lists(many(rbl.MaxZones)...)), hard, " more; together 32.0"},

		{"a tenth below the threshold", "rbl.L1", with(lists(listedBy("one.test*4.9", at2))), "4.9 4.9 4.9", "listed by one.test 127.0.0.2 4.9; together 4.9"},
		{"two lists of one operator count once, the highest", "rbl.L1", with(lists(of("o", listedBy("one.test*3", at2)), of("o", listedBy("two.test*4", at2)))), "4.0 4.0 4.0", "together 4.0"},
		{"an operator of a list of addresses and one of names", "rbl.L1", with(lists(of("o", listedBy("one.test*3", at2))), names("HELO", "mail.example.net", of("o", listedBy("names.test*3", at2)))), "3.0 3.0 3.0", ""},
		{"one list of names about two names counts once", "rbl.L1", with(names("HELO", "mail.example.net", listedBy("names.test*3", at2)), names("sender", "example.net", listedBy("names.test*3", at2))), "3.0 3.0 3.0", ""},
		{"a sum above 4.9 below a high threshold", "rbl.L1", with(threshold(10), lists(listedBy("one.test*9.9", at2))), "4.9 4.9 4.9", "together 9.9"},
		{"a good sender pulls the sum below the threshold", "rbl.L1", with(lists(listedBy("one.test*5", at2), listedBy("good.test*-0.1", at2))), "4.9 4.9 4.9", "one.test 127.0.0.2 5.0, good.test 127.0.0.2 -0.1; together 4.9"},
		{"a good sender", "rbl.L1", with(lists(clear("one.test"), listedBy("good.test*-4", at2))), "-4.0 -4.0 -4.0", "good.test 127.0.0.2 -4.0; together -4.0"},
		{"a good sender, the other lists are silent", "rbl.L1", with(lists(unanswered("one.test", ""), listedBy("good.test*-4", at2))), "-4.0 -4.0 -4.0", ""},
		{"two good lists of one operator count once", "rbl.L1", with(lists(of("o", listedBy("one.test*-3", at2)), of("o", listedBy("two.test*-1", at2)))), "-3.0 -3.0 -3.0", ""},
		{"an operator's good and bad list count both", "rbl.L1", with(lists(of("o", listedBy("one.test*3", at2)), of("o", listedBy("two.test*-1", at2)))), "2.0 2.0 2.0", ""},

		{"no list was asked", "rbl.L1", with(lists()), "unknown", "what the lists say is not known"},
		{"no list answered", "rbl.L1", with(lists(unanswered("one.test", "server failure\n"), unanswered("two.test", ""))), "unknown", "not known of one.test (server failure?), two.test (no answer); 0 lists are clear"},
		{"one of three lists is silent", "rbl.L1", with(lists(clear("one.test"), unanswered("two.test", "no answer"), clear("three.test"))), "unknown", "not known of two.test (no answer); 2 lists are clear"},
		{"a list of names is silent", "rbl.L1", with(lists(clear("one.test")), names("HELO", "mail.example.net", unanswered("names.test", "untested"))), "unknown", "names.test (untested); 1 list is clear"},
		{"a keyed list is silent", "rbl.L1", with(lists(unanswered("0123456789abcdefghijklmnop.zen.dq.spamhaus.net", "refused"))), "unknown", "not known of ***.zen.dq.spamhaus.net (refused)"},

		{"every list is clear", "rbl.L1", with(lists(clear("one.test"), clear("two.test")), names("HELO", "mail.example.net", clear("names.test"))), "pass", "3 lists are clear"},
		{"a listing that is worth nothing", "rbl.L1", with(lists(clear("one.test"), listedBy("good.test*0", at2))), "pass", "listed by good.test 127.0.0.2 0.0; together 0.0"},
		{"a code that has no weight", "rbl.L1", with(lists(listedBy("one.test=127.0.0.3*5", at2))), "pass", "together 0.0"},
		{"good and bad lists that cancel each other", "rbl.L1", with(lists(listedBy("one.test*2", at2), listedBy("good.test*-2", at2))), "pass", "together 0.0"},
		{"codes of a list that is silent", "rbl.L1", with(lists(clear("one.test"), rbl.Answer{Zone: keyed.Zone, Status: rbl.Clear, Codes: []rbl.Code{at2}})), "pass", "2 lists are clear"},
		{"no list is set", "rbl.L1", with(nobody, lists()), "pass", "no list is set"},
	}
}

// many are lists that all list a client.
func many(n int) (list []rbl.Answer) {
	for i := range n {
		list = append(list, listedBy(strings.Repeat("a", i+1)+".test", at2))
	}
	return list
}

// What the client is told: which list, where to look, what that says, and nothing of how we weigh.
func TestWhatAListedClientIsTold(t *testing.T) {
	looked := listedBy("two.test*4", at2)
	looked.Zone.URL = "https://two.test/lookup"
	dnsbl := []rbl.Answer{listedBy("one.test*3", at2), looked, listedBy("good.test*-1", at2), listedBy("last.test*4", at2)}
	name := func(of string, weight string) []NameReport {
		return []NameReport{{Of: of, Report: rbl.Report{Subject: "mail.example.net", Answers: []rbl.Answer{listedBy("names.test*"+weight, at2)}}}}
	}
	for _, c := range []struct {
		name  string
		lists []rbl.Answer
		names []NameReport
		text  string // of the list
		want  string
		wants Need
	}{
		{"the strongest list, the first of equals", dnsbl, nil, "", "your address is listed by two.test, see https://two.test/lookup", NeedListText},
		{"the list's own words", dnsbl, nil, "open relay \"x\"\r\n250 OK", `your address is listed by two.test, see https://two.test/lookup, which says: "open relay ?x???250 OK"`, 0},
		{"long words", dnsbl, nil, strings.Repeat("x", 201), `your address is listed by two.test, see https://two.test/lookup, which says: "` + strings.Repeat("x", 200) + `..."`, 0},
		{"the greeting, which is listed worse", dnsbl, name("HELO", "4.1"), "", "the name you greet with is listed by names.test", NeedListText},
		{"the sender", nil, name("sender", "5"), "", "the domain of your sender is listed by names.test", NeedListText},
		{"the client's name", nil, name("PTR", "5"), "", "the name of your address is listed by names.test", NeedListText},
		{"a name as bad as the address", dnsbl, name("PTR", "4"), "", "your address is listed by two.test, see https://two.test/lookup", NeedListText},
		{"a list without a page", []rbl.Answer{listedBy("one.test*5", at2)}, nil, "spam", `your address is listed by one.test, which says: "spam"`, 0},
		{"a keyed list", []rbl.Answer{listedBy("0123456789abcdefghijklmnop.zen.dq.spamhaus.net", at2)}, nil, "",
			"your address is listed by ***.zen.dq.spamhaus.net, see https://check.spamhaus.org/", NeedListText},
		{"a score refuses nothing yet", []rbl.Answer{listedBy("one.test*4.9", at2)}, nil, "", "your address is listed by one.test", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := build(nil)
			s.f.Lists, s.f.NameLists, s.f.ListText = rbl.Report{Subject: "203.0.113.7", Answers: c.lists}, c.names, c.text
			v, _ := s.judge(t, "rbl.L1")
			if v.Text != c.want || v.Wants != c.wants {
				t.Errorf("told %s, wants %b", v.Text, v.Wants)
			}
		})
	}
}

// The decider asks for the text of this listing.
func TestTheStrongestListing(t *testing.T) {
	f := &Facts{}
	if of, subject, a := f.Strongest(); of != "" || subject != "" || a != nil {
		t.Errorf("of nothing: %q %q %v", of, subject, a)
	}
	f.Lists = rbl.Report{Subject: "203.0.113.7", Answers: []rbl.Answer{listedBy("good.test*-5", at2), listedBy("one.test*1", at2)}}
	f.NameLists = []NameReport{{Of: "HELO", Report: rbl.Report{Subject: "mail.example.net"}}}
	if of, subject, a := f.Strongest(); of != "" || subject != "203.0.113.7" || a != &f.Lists.Answers[1] {
		t.Errorf("of the address: %q %q %v", of, subject, a)
	}
	f.NameLists = append(f.NameLists, NameReport{"sender", rbl.Report{Subject: "example.net", Answers: []rbl.Answer{listedBy("names.test*2", at2)}}})
	if of, subject, a := f.Strongest(); of != "sender" || subject != "example.net" || a != &f.NameLists[1].Report.Answers[0] {
		t.Errorf("of the sender: %q %q %v", of, subject, a)
	}
}

// A list that nobody asks about costs no question.
func TestWhatRBLNeeds(t *testing.T) {
	zones := []rbl.Entry{entry("one.test")}
	for want, s := range map[Need]*RBL{
		0:                         {Names: []string{"helo"}},
		NeedLists:                 {Zones: zones, NameZones: zones},
		NeedNameLists:             {NameZones: zones, Names: []string{"ptr"}},
		NeedLists | NeedNameLists: {Zones: zones, NameZones: zones, Names: []string{"helo"}},
	} {
		if got := s.Rules()[0].Needs; got != want {
			t.Errorf("%+v needs %b", s, got)
		}
	}
}

func TestRBLSettingsThatAreWrong(t *testing.T) {
	const number = "threshold: must be 0.1 to 100 with one decimal at most, like 5.0"
	many := func(n int) (list []rbl.Entry) {
		for i := range n {
			list = append(list, entry(strings.Repeat("a", i+1)+".test"))
		}
		return list
	}
	for _, c := range []struct {
		name string
		s    RBL
		want []string
	}{
		{"no threshold", RBL{}, []string{number}},
		{"a threshold below a tenth", RBL{Threshold: 0.09}, []string{number}},
		{"a threshold above a hundred", RBL{Threshold: 100.1}, []string{number}},
		{"a threshold beyond all", RBL{Threshold: 1e300}, []string{number}},
		{"a negative threshold", RBL{Threshold: -5}, []string{number}},
		{"two decimals", RBL{Threshold: 4.95}, []string{number}},
		{"a list of names among those of addresses, and the other way round", RBL{Threshold: 5, Zones: []rbl.Entry{entry("dbl.spamhaus.org"), entry("multi.uribl.com*2")},
			NameZones: []rbl.Entry{entry("zen.spamhaus.org=127.0.0.2*5")}}, []string{
			"zones: dbl.spamhaus.org lists names: write it into name_zones", "zones: multi.uribl.com*2 lists names: write it into name_zones",
			"name_zones: zen.spamhaus.org=127.0.0.2*5 lists addresses: write it into zones"}},
		{"a keyed list in the wrong place", RBL{Threshold: 5, Zones: []rbl.Entry{entry("0123456789abcdefghijklmnop.dbl.dq.spamhaus.net")}},
			[]string{"zones: ***.dbl.dq.spamhaus.net lists names: write it into name_zones"}},
		{"names that are none", RBL{Threshold: 5, Names: []string{"HELO", "helo", "mx", "helo"}},
			[]string{`names: "HELO" is none of helo, sender and ptr`, `names: "mx" is none of helo, sender and ptr`, `names: "helo" is there twice`}},
		{"33 lists", RBL{Threshold: 0.1, NameZones: many(33)}, []string{"name_zones: " + strings.Repeat("a", 33) + ".test is one list of names too many: at most 32 are asked"}},
		{"32 lists of each kind", RBL{Threshold: 100, Zones: many(32), NameZones: many(32), Names: []string{"ptr", "helo", "sender"}}, nil},
		{"a list twice with other codes", RBL{Threshold: 4.9, Zones: []rbl.Entry{entry("one.test=127.0.0.2"), entry("one.test=127.0.0.3")}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range c.s.Check() {
				got = append(got, m.Key+": "+m.Text)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
