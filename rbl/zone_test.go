package rbl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// zonesOf makes zones of entries as an administrator writes them.
func zonesOf(t testing.TB, kind Kind, texts ...string) []*Zone {
	t.Helper()
	zones, err := Zones(kind, entriesOf(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return zones
}

func entriesOf(t testing.TB, texts ...string) []Entry {
	t.Helper()
	entries := make([]Entry, len(texts))
	for i, text := range texts {
		if err := entries[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return entries
}

func addressesOf(texts ...string) []netip.Addr {
	var as []netip.Addr
	for _, text := range texts {
		as = append(as, netip.MustParseAddr(text))
	}
	return as
}

func TestAListingIsOnlyWhatItsZoneDeclares(t *testing.T) {
	for _, c := range []struct {
		name, entry string
		kind        Kind
		answer      string
		want        string // status, fault, codes, part of why
	}{
		{"a parked domain answers its web server", "zen.spamhaus.org", OfAddresses, "192.0.2.80", "unknown hijacked [] 192.0.2.80"},
		{"the null address", "zen.spamhaus.org", OfAddresses, "0.0.0.0", "unknown hijacked [] 0.0.0.0"},
		{"the broadcast address", "zen.spamhaus.org", OfAddresses, "255.255.255.255", "unknown hijacked [] 255.255.255.255"},
		{"an IPv6 address", "zen.spamhaus.org", OfAddresses, "2001:db8::2", "unknown hijacked [] 2001:db8::2"},
		{"the IPv6 loopback address", "zen.spamhaus.org", OfAddresses, "::1", "unknown hijacked [] ::1"},
		{"a listing beside a hijacker", "zen.spamhaus.org", OfAddresses, "127.0.0.2 203.0.113.1", "unknown hijacked [] 203.0.113.1"},
		{"a hijacker outweighs an error code", "zen.spamhaus.org", OfAddresses, "127.255.255.254 203.0.113.1", "unknown hijacked [] 203"},
		{"a public resolver", "zen.spamhaus.org", OfAddresses, "127.255.255.254", "unknown error-code [] public resolver"},
		{"a quota", "bl.example", OfAddresses, "127.255.255.255", "unknown error-code [] too often"},
		{"a name mistyped", "bl.example", OfAddresses, "127.255.255.252", "unknown error-code [] mistyped"},
		{"an error nobody knows", "bl.example", OfAddresses, "127.255.255.7", "unknown error-code [] refuses"},
		{"an error code that an entry covers", "bl.example=127.[0..255].[0..255].[0..255]", OfAddresses, "127.255.255.250",
			"unknown error-code [] refuses"},
		{"a listing beside an error code", "zen.spamhaus.org", OfAddresses, "127.0.0.2 127.255.255.254", "unknown error-code [] public"},
		{"127.0.0.1", "bl.spamcop.net", OfAddresses, "127.0.0.1", "unknown error-code [] 127.0.0.1"},
		{"127.0.0.1 covered by a range", "bl.example=127.0.0.[1..255]", OfAddresses, "127.0.0.1", "unknown error-code [] 127.0.0.1"},
		{"127.0.0.1 of a list known for it", "hostkarma.junkemailfilter.com", OfAddresses, "127.0.0.1", "listed ok [127.0.0.1] "},
		{"127.0.0.1 written out for a list nobody knows", "bl.example=127.0.0.1", OfAddresses, "127.0.0.1", "listed ok [127.0.0.1] "},
		{"127.0.0.1 written out for a list that refuses with it", "multi.uribl.com=127.0.0.1", OfNames, "127.0.0.1",
			"unknown error-code [] refuses"},
		{"127.0.0.1 written out for a list that is known not to mean it", "bl.spamcop.net=127.0.0.1", OfAddresses, "127.0.0.1",
			"unknown error-code [] no code of this list"},
		{"the lists of names refuse addresses", "dbl.spamhaus.org", OfNames, "127.0.1.255", "unknown error-code [] about an address"},
		{"dnswl refuses", "list.dnswl.org", OfAddresses, "127.0.0.255", "unknown error-code [] refuses"},
		{"dnswl refuses whoever covers it", "list.dnswl.org=127.0.[0..255].[1..255]*-3", OfAddresses, "127.0.0.255",
			"unknown error-code [] refuses"},
		{"a mask with the bit that refuses", "multi.surbl.org", OfNames, "127.0.0.9", "unknown error-code [] refuses"},
		{"a code that nobody declares", "zen.spamhaus.org", OfAddresses, "127.0.0.77", "clear ok [] 127.0.0.77: no code that counts"},
		{"a code that the entry leaves out", "zen.spamhaus.org=127.0.0.[2..3]", OfAddresses, "127.0.0.10", "clear ok [] 127.0.0.10"},
		{"a code in another octet", "zen.spamhaus.org", OfAddresses, "127.0.1.2", "clear ok [] 127.0.1.2"},
		{"127.255.0.2 is no error code", "bl.example", OfAddresses, "127.255.0.2", "listed ok [127.255.0.2] "},
		{"a declared code beside one that is not", "zen.spamhaus.org", OfAddresses, "127.0.0.77 127.0.0.4 127.0.0.2",
			"listed ok [127.0.0.2 127.0.0.4] 127.0.0.77"},
		{"no address", "zen.spamhaus.org", OfAddresses, "", "clear ok [] "},
		{"one code", "zen.spamhaus.org", OfAddresses, "127.0.0.10", "listed ok [127.0.0.10] "},
		{"one code twice", "zen.spamhaus.org", OfAddresses, "127.0.0.2 127.0.0.2", "listed ok [127.0.0.2] "},
		{"a v4-mapped code", "zen.spamhaus.org", OfAddresses, "::ffff:127.0.0.2", "listed ok [127.0.0.2] "},
		{"a mask", "multi.surbl.org", OfNames, "127.0.0.80", "listed ok [127.0.0.80] "},
		{"any code of a list nobody knows", "bl.example", OfAddresses, "127.9.8.7", "listed ok [127.9.8.7] "},
	} {
		z := zonesOf(t, c.kind, c.entry)[0]
		r := z.Read(addressesOf(strings.Fields(c.answer)...))
		got := fmt.Sprint(r.Status, " ", r.Fault, " ", r.Codes, " ")
		want, why := c.want[:strings.Index(c.want, "]")+2], c.want[strings.Index(c.want, "]")+2:]
		if got != want || !strings.Contains(r.Why, why) || (r.Why == "") != (why == "") {
			t.Errorf("%s: %s%q, want %s", c.name, got, r.Why, c.want)
		}
	}
}

// TestWeightsOfPostscreen is worked by hand after postscreen(8): each entry counts once, whatever number of addresses fit
// it, and the entries of one list add up.
func TestWeightsOfPostscreen(t *testing.T) {
	zones := zonesOf(t, OfAddresses,
		"bl.example=127.0.0.[2..11]*3", // A
		"bl.example=127.0.0.[10;11]*-1.5",
		"bl.example=127.0.0.2*2",
		"bl.example=127.0.[1..2].[0;4..7]*0.5",
		"plain.example*2", // any code
		"bare.example",    // any code, 1
		"allow.example=127.0.[0..255].1*-2",
		"allow.example=127.0.[0..255].2*-3",
		"allow.example=127.0.[0..255].3*-4",
		"unweighted.example=127.0.0.4", // 1
	)
	for _, c := range []struct {
		zone, answer string
		want         Score
	}{
		{"bl.example", "127.0.0.3", 30},                                // A
		{"bl.example", "127.0.0.2", 50},                                // A 3 + 2
		{"bl.example", "127.0.0.10", 15},                               // A 3 - 1.5
		{"bl.example", "127.0.0.10 127.0.0.11", 15},                    // each entry once
		{"bl.example", "127.0.0.2 127.0.0.3 127.0.0.11", 35},           // 3 + 2 - 1.5
		{"bl.example", "127.0.2.5", 5},                                 // 0.5
		{"bl.example", "127.0.1.0 127.0.2.7 127.0.0.4", 35},            // 0.5 + 3
		{"bl.example", "127.0.3.5", 0},                                 // none
		{"plain.example", "127.0.0.2 127.0.0.4 127.3.0.1", 20},         // once
		{"bare.example", "127.0.0.99", 10},                             // 1
		{"allow.example", "127.0.5.1", -20},                            // -2
		{"allow.example", "127.0.5.1 127.0.7.3", -60},                  // -2 - 4
		{"allow.example", "127.0.0.1 127.0.0.2 127.0.0.3", 0},          // 127.0.0.1 is no code: nothing counts
		{"allow.example", "127.0.9.1 127.0.0.2 127.0.200.3", -90},      // -2 - 3 - 4
		{"unweighted.example", "127.0.0.4 127.0.0.5", 10},              // 1
		{"unweighted.example", "127.0.0.5", 0},                         // none
		{"bl.example", "", 0},                                          // not listed
		{"bl.example", "127.0.0.2 127.255.255.254", 0},                 // an error code spoils it
		{"bl.example", "127.0.0.2 127.0.0.10 127.0.1.4 127.9.9.9", 40}, // 3 - 1.5 + 2 + 0.5
	} {
		i := slices.IndexFunc(zones, func(z *Zone) bool { return z.Name == c.zone })
		r := zones[i].Read(addressesOf(strings.Fields(c.answer)...))
		if got, meanings := zones[i].Weigh(r.Codes); got != c.want || len(meanings) != 0 {
			t.Errorf("%s answers %s: %v %v, want %v", c.zone, c.answer, got, meanings, c.want)
		}
	}
	if len(zones) != 5 {
		t.Errorf("%d zones", len(zones))
	}
}

// TestWeightsOfTheCatalogue is the table that the administrator is promised.
func TestWeightsOfTheCatalogue(t *testing.T) {
	for _, c := range []struct {
		entry    string
		answer   string
		want     Score
		meanings string
	}{
		{"zen.spamhaus.org", "127.0.0.2", 50, "SBL"},
		{"zen.spamhaus.org", "127.0.0.3", 50, "CSS"},
		{"zen.spamhaus.org", "127.0.0.4", 50, "XBL"},
		{"zen.spamhaus.org", "127.0.0.7", 50, "XBL"},
		{"zen.spamhaus.org", "127.0.0.2 127.0.0.9", 50, "SBL DROP"},
		{"zen.spamhaus.org", "127.0.0.10", 50, "PBL"},
		{"zen.spamhaus.org", "127.0.0.4 127.0.0.11", 50, "XBL PBL"},
		{"zen.spamhaus.org", "127.0.0.8", 0, ""},
		{"zen.spamhaus.org*3", "127.0.0.4 127.0.0.11", 30, "XBL PBL"},
		{"zen.spamhaus.org=127.0.0.[2..9]*3", "127.0.0.4 127.0.0.11", 30, "XBL"},
		{"zen.spamhaus.org=127.0.0.[2..9]", "127.0.0.4", 10, "XBL"},
		{"key.zen.dq.spamhaus.net", "127.0.0.2", 50, "SBL"},
		{"key.xbl.dq.spamhaus.net", "127.0.0.4", 50, "XBL"},
		{"dbl.spamhaus.org", "127.0.1.2", 40, "spam"},
		{"dbl.spamhaus.org", "127.0.1.4", 40, "phishing"},
		{"dbl.spamhaus.org", "127.0.1.5", 40, "malware"},
		{"dbl.spamhaus.org", "127.0.1.6", 40, "botnet"},
		{"dbl.spamhaus.org", "127.0.1.102", 20, "abused"},
		{"dbl.spamhaus.org", "127.0.1.106", 20, "abused"},
		{"dbl.spamhaus.org", "127.0.1.3", 0, ""},
		{"key.dbl.dq.spamhaus.net", "127.0.1.2", 40, "spam"},
		{"bl.spamcop.net", "127.0.0.2", 25, ""},
		{"psbl.surriel.com", "127.0.0.2", 20, ""},
		{"rep.mailspike.net", "127.0.0.10", 20, "worst"},
		{"rep.mailspike.net", "127.0.0.12", 20, "bad"},
		{"rep.mailspike.net", "127.0.0.13", 0, "neutral"},
		{"rep.mailspike.net", "127.0.0.16", 0, "neutral"},
		{"rep.mailspike.net", "127.0.0.17", -10, "good"},
		{"rep.mailspike.net", "127.0.0.20", -10, "excellent"},
		{"list.dnswl.org", "127.0.2.0", 0, "no trust"},
		{"list.dnswl.org", "127.0.15.1", -10, "low"},
		{"list.dnswl.org", "127.0.5.2", -20, "medium"},
		{"list.dnswl.org", "127.0.9.3", -40, "high"},
		{"list.dnswl.org", "127.0.10.3", 0, "special"},
		{"list.dnswl.org=127.0.[0..255].[1..3]*-3", "127.0.5.2", -30, "medium"},
		{"list.dnswl.org*-3", "127.0.5.0", -30, "no trust"},
		{"hostkarma.junkemailfilter.com", "127.0.0.1", -10, "white"},
		{"hostkarma.junkemailfilter.com", "127.0.0.2", 15, "black"},
		{"hostkarma.junkemailfilter.com", "127.0.0.3", 0, "yellow"},
		{"hostkarma.junkemailfilter.com", "127.0.0.4", 0, "brown"},
		{"hostkarma.junkemailfilter.com", "127.0.0.5", 0, "none"},
		{"multi.uribl.com", "127.0.0.2", 20, "black"},
		{"multi.uribl.com", "127.0.0.6", 20, "black grey"},
		{"multi.uribl.com", "127.0.0.14", 20, "black grey red"},
		{"multi.uribl.com", "127.0.0.16", 0, ""},
		{"multi.surbl.org", "127.0.0.8", 20, "phishing"},
		{"multi.surbl.org", "127.0.0.80", 20, "malware abuse"},
		{"multi.surbl.org", "127.0.0.254", 20, "phishing malware abuse cracked"},
		{"b.barracudacentral.org", "127.0.0.2", 10, ""},
		{"psbl.surriel.com*0", "127.0.0.2", 0, ""},
	} {
		e := entriesOf(t, c.entry)
		kind := OfAddresses
		if lookUp(e[0].Zone).kinds == listsNames {
			kind = OfNames
		}
		z := zonesOf(t, kind, c.entry)[0]
		got, meanings := z.Weigh(z.Read(addressesOf(strings.Fields(c.answer)...)).Codes)
		said := strings.Join(meanings, " ")
		for _, m := range strings.Fields(c.meanings) {
			if !strings.Contains(said, m) {
				t.Errorf("%s answers %s: %q misses %q", c.entry, c.answer, said, m)
			}
		}
		if got != c.want || (c.meanings == "") != (said == "") {
			t.Errorf("%s answers %s: %v %q, want %v %q", c.entry, c.answer, got, said, c.want, c.meanings)
		}
	}
}

func TestZonesThatFitNotAreRefused(t *testing.T) {
	var many []string
	for i := range MaxZones + 1 {
		many = append(many, fmt.Sprintf("bl%d.example", i))
	}
	for _, c := range []struct {
		name    string
		kind    Kind
		entries []Entry
		wrong   string
	}{
		{"a list of names among those of addresses", OfAddresses, entriesOf(t, "bl.spamcop.net", "dbl.spamhaus.org*2"),
			"dbl.spamhaus.org*2 is a list of names, not of addresses: write it among the lists of names"},
		{"a list of addresses among those of names", OfNames, entriesOf(t, "zen.spamhaus.org"),
			"zen.spamhaus.org is a list of addresses, not of names: write it among the lists of addresses"},
		{"a keyed list of names among those of addresses", OfAddresses, entriesOf(t, "secret.dbl.dq.spamhaus.net"),
			"***.dbl.dq.spamhaus.net is a list of names"},
		{"33 lists", OfAddresses, entriesOf(t, many...), "bl32.example is one list of addresses too many: at most 32"},
		{"an entry that nobody read", OfAddresses, []Entry{{Zone: "dnsbl.sorbs.net"}}, "dead"},
		{"an entry of nothing", OfAddresses, []Entry{{}}, "begins with its name"},
		{"a weight out of bounds", OfAddresses, []Entry{{Zone: "bl.example", Weight: 1000, Weighted: true}}, "weight 100.0"},
	} {
		if zones, err := Zones(c.kind, c.entries); err == nil || !strings.Contains(err.Error(), c.wrong) || zones != nil {
			t.Errorf("%s: %v, %v, want an error with %q", c.name, zones, err, c.wrong)
		}
	}
}

func TestZonesAreWhatTheCatalogueSaysOfThem(t *testing.T) {
	zones := zonesOf(t, OfAddresses, "zen.spamhaus.org", "Secret.ZEN.dq.spamhaus.net", "b.barracudacentral.org", "bl.example",
		"zen.spamhaus.org=127.0.0.2*1", "hostkarma.junkemailfilter.com",
		"bl.blocklist.de")
	var got []string
	for _, z := range zones {
		got = append(got, fmt.Sprintf("%v|%s|%v %v|%v|%v", z, z.Operator, z.IPv4, z.IPv6, z.One, z.Needs != ""))
	}
	want := []string{
		"zen.spamhaus.org|Spamhaus|true true|false|false",
		"***.zen.dq.spamhaus.net|Spamhaus|true true|false|false",
		"b.barracudacentral.org|Barracuda|true false|false|true",
		"bl.example||true true|false|false",
		"hostkarma.junkemailfilter.com|Junk Email Filter|true false|true|false",
		"bl.blocklist.de|blocklist.de|true true|false|false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if zones[1].Name != "secret.zen.dq.spamhaus.net" {
		t.Errorf("%q is asked", zones[1].Name)
	}
	// A second entry of a zone adds to the first.
	if s, meanings := zones[0].Weigh([]Code{{0, 0, 2}}); s != 60 || len(meanings) != 1 {
		t.Errorf("zen twice: %v %q", s, meanings)
	}
	if z := zonesOf(t, OfNames, "dbl.spamhaus.org", "rhsbl.example")[1]; z.IPv4 || z.IPv6 {
		t.Error("a list of names has addresses")
	}
}

func TestTheCatalogueCanBeRead(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range catalogue {
		if seen[k.zone] {
			t.Errorf("%s is there twice", k.zone)
		}
		seen[k.zone] = true
		if k.kinds == 0 || k.operator == "" || k.on&^k.kinds != 0 {
			t.Errorf("%s: kinds %v, operator %q, on %v", k.zone, k.kinds, k.operator, k.on)
		}
		if err := checkZone(k.zone); err != nil || deadZone(k.zone) != nil {
			t.Errorf("%s: %v, %v", k.zone, err, deadZone(k.zone))
		}
		if k.on != 0 && (k.codes == "" || len(k.weights) == 0 || k.needs != "" || k.allow) {
			t.Errorf("%s is in the default set, but needs something", k.zone)
		}
		all := k.listed()
		for _, w := range k.weights {
			p, err := ParsePattern(w.codes)
			if err != nil || p.and(all) != p {
				t.Errorf("%s: weight for %s: %v, or not all of it is a code of the list", k.zone, w.codes, err)
			}
		}
		if _, err := ParsePattern(k.codes); k.codes != "" && err != nil {
			t.Errorf("%s: %v", k.zone, err)
		}
		for _, w := range k.errors {
			if _, err := ParsePattern(w.codes); err != nil || w.meaning == "" || w.score != 0 {
				t.Errorf("%s: error %+v: %v", k.zone, w, err)
			}
		}
		if _, err := QueryName(k.test, k.zone); k.kinds == listsNames && k.test != "" && err != nil {
			t.Errorf("%s can't be tested with %q: %v", k.zone, k.test, err)
		}
		if k.example != "" {
			entriesOf(t, k.example)
		}
	}
	for _, s := range services {
		for _, list := range s.lists {
			if zone := "key." + list + "." + s.domain; lookUp(zone) == nil {
				t.Errorf("%s has no public twin", zone)
			}
		}
	}
}

func TestDefault(t *testing.T) {
	want := map[Kind][]string{
		OfAddresses: {"zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com", "rep.mailspike.net", "list.dnswl.org",
			"hostkarma.junkemailfilter.com"},
		OfNames: {"dbl.spamhaus.org", "multi.uribl.com", "multi.surbl.org"},
	}
	for kind, names := range want {
		var got []string
		for _, e := range Default(kind) {
			got = append(got, e.String())
		}
		if !slices.Equal(got, names) {
			t.Errorf("%v: %q", kind, got)
		}
		if zones, err := Zones(kind, Default(kind)); err != nil || len(zones) != len(names) {
			t.Errorf("%v: %v, %v", kind, zones, err)
		}
	}
}

// TestNoAnswerOfAFaultyListIsAListing holds the four rules against any set of addresses.
func TestNoAnswerOfAFaultyListIsAListing(t *testing.T) {
	zones := append(zonesOf(t, OfAddresses, "zen.spamhaus.org", "list.dnswl.org", "hostkarma.junkemailfilter.com", "bl.example",
		"filtered.example=127.0.0.[1..20]*2"), zonesOf(t, OfNames, "multi.surbl.org", "dbl.spamhaus.org")...)
	octet := rapid.OneOf(rapid.SampledFrom([]byte{0, 1, 2, 10, 127, 252, 254, 255}), rapid.Byte())
	rapid.Check(t, func(t *rapid.T) {
		z := rapid.SampledFrom(zones).Draw(t, "zone")
		outside, refusing := false, false
		var answer []netip.Addr
		for range rapid.IntRange(0, 4).Draw(t, "addresses") {
			o := [4]byte{127, octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")}
			if rapid.IntRange(0, 9).Draw(t, "outside") == 0 {
				o[0] = octet.Draw(t, "a")
			}
			answer = append(answer, netip.AddrFrom4(o))
			outside = outside || o[0] != 127
			refusing = refusing || o[1] == 255 && o[2] == 255 || o == [4]byte{127, 0, 0, 1} && !z.One
		}
		r := z.Read(answer)
		switch {
		case outside && r.Fault != Hijacked, !outside && refusing && r.Fault != ErrorCode,
			r.Fault != OK && (r.Status != Unknown || r.Codes != nil || r.Why == ""),
			r.Fault == OK && (r.Status == Listed) != (len(r.Codes) > 0), r.Fault == OK && r.Status == Unknown:
			t.Fatalf("%v answers %v: %+v", z, answer, r)
		}
		for _, c := range r.Codes {
			if !z.declares(c) || !slices.Contains(answer, netip.AddrFrom4([4]byte{127, c[0], c[1], c[2]})) {
				t.Fatalf("%v answers %v: %v", z, answer, c)
			}
		}
	})
}

func TestTheClearAnswerAllocatesNothing(t *testing.T) {
	z := zonesOf(t, OfAddresses, "zen.spamhaus.org")[0]
	if n := testing.AllocsPerRun(100, func() { z.Weigh(z.Read(nil).Codes) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
