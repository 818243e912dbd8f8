package rbl

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAnEntryThatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []struct{ name, text, wrong string }{
		{"nothing", "", "begins with its name"},
		{"blanks", "  ", "begins with its name"},
		{"no name", "=127.0.0.2*3", "begins with its name"},
		{"a whole line of postscreen", "zen.spamhaus.org*3, bl.spamcop.net*2", "an entry of its own"},
		{"a line with blanks", "zen.spamhaus.org*3 bl.spamcop.net*2", "an entry of its own"},
		{"one label", "zen", "has a dot"},
		{"an address", "192.0.2.1", "an address"},
		{"a URL", "https://zen.spamhaus.org/", "other characters"},
		{"an option of Exim", "zen.spamhaus.org/$sender_host_address", "other characters"},
		{"too long for an address in front", strings.Repeat("a.", 95) + "example", "too long"},
		{"a code that is none", "zen.spamhaus.org=2", "zen.spamhaus.org: codes \"2\": it needs four octets"},
		{"several codes as Exim writes them", "zen.spamhaus.org=127.0.0.2;127.0.0.3", "octet"},
		{"an empty pattern", "zen.spamhaus.org=*2", "octet"},
		{"an empty weight", "zen.spamhaus.org*", `weight ""`},
		{"a weight that is none", "zen.spamhaus.org*high", `weight "high"`},
		{"a weight with a plus", "zen.spamhaus.org*+2", `weight "+2"`},
		{"a weight of a hundred", "zen.spamhaus.org*100", "-99.9 to 99.9"},
		{"a weight of minus a hundred", "zen.spamhaus.org*-100", "-99.9 to 99.9"},
		{"two decimals", "zen.spamhaus.org*2.55", "one decimal"},
		{"a decimal comma", "zen.spamhaus.org*2,5", "comma"},
		{"a point and nothing", "zen.spamhaus.org*2.", "zen.spamhaus.org*2.5"},
		{"a point in front", "zen.spamhaus.org*.5", "weight"},
		{"two weights", "zen.spamhaus.org*2*3", "other characters"},
		{"only error codes", "zen.spamhaus.org=127.255.255.[252..255]*-5", "refuses to answer"},
		{"a slip of the hand", "zen.spamhuas.org", "is zen.spamhaus.org meant?"},
		{"a letter too many", "bl.spamcop.nett*2", "is bl.spamcop.net meant?"},
		{"a slip behind a key", "secret.zne.dq.spamhaus.net", "***.dq.spamhaus.net is no known list: is zen.spamhaus.org meant?"},
		{"a list of good senders without a weight", "wl.mailspike.net", "wl.mailspike.net*-1"},
		{"a list of good senders with postscreen's weight of 1", "wl.mailspike.net=127.0.0.[18..20]", "weight of 0 or below"},
		{"a list of good senders with a weight against them", "dwl.dnswl.org*2", "weight of 0 or below"},
		{"a list of scores without codes", "score.senderscore.com*2", "score.senderscore.com=127.0.4.[0..20]*1"},
		{"a keyed list without a key", "zen.dq.spamhaus.net", "KEY.zen.dq.spamhaus.net"},
		{"a keyed list with nothing but a key", "abcdef.dq.spamhaus.net", "***.dq.spamhaus.net: lists there"},
		{"the domain of keyed lists", "mail.abusix.zone", "KEY.combined.mail.abusix.zone"},

		{"dead: emptied", "dnsbl.sorbs.net", "dnsbl.sorbs.net is dead: its owner emptied it in June 2024; leave it out"},
		{"dead: kin", "new.spam.dnsbl.sorbs.net=127.0.0.6*2", "2024"},
		{"dead: names", "nomail.rhsbl.sorbs.net", "2024"},
		{"dead: closed", "ix.dnsbl.manitu.net*2", "2025"},
		{"dead: long ago", "Relays.ORDB.org.", "relays.ordb.org is dead: it was shut down in 2006, and has listed everybody since 2008"},
		{"dead: everybody is listed", "dnsbl.ahbl.org", "2015"},
		{"dead: no year is known", "combined.rbl.msrbl.net", "ran out more than once"},
	} {
		e := Entry{Zone: "untouched.example"}
		err := e.UnmarshalText([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, %v, want an error with %q", c.name, e, err, c.wrong)
		}
		if e.Zone != "untouched.example" {
			t.Errorf("%s: the entry was changed to %v", c.name, e)
		}
	}
}

func TestEveryListThatDnsblIsToldToRefuseIsDead(t *testing.T) {
	for _, zone := range []string{"dnsbl.sorbs.net", "spam.dnsbl.sorbs.net", "rhsbl.sorbs.net", "ix.dnsbl.manitu.net",
		"relays.ordb.org", "list.dsbl.org", "dnsbl.ahbl.org", "rhsbl.ahbl.org", "bl.spamcannibal.org", "combined.njabl.org",
		"dnsbl.njabl.org", "opm.blitzed.org", "rbl.megarbl.net", "bl.emailbasura.org", "spam.rbl.msrbl.net", "dnsbl.inps.de",
		"db.wpbl.info", "virbl.bit.nl", "wormrbl.imp.ch", "dnsbl.cyberlogic.net", "ubl.unsubscore.com", "dnsrbl.org",
		"bad.psky.me"} {
		if deadZone(zone) == nil {
			t.Errorf("%s passes for alive", zone)
		}
	}
	for _, zone := range []string{"notsorbs.net", "sorbs.net.example", "dnsbl.bit.nl", "spamrbl.imp.ch", "manitu.net"} {
		if err := deadZone(zone); err != nil {
			t.Error(err)
		}
	}
}

func TestAnEntryComesBackAsItself(t *testing.T) {
	for text, want := range map[string]string{
		"zen.spamhaus.org":                            "zen.spamhaus.org",
		" Zen.Spamhaus.ORG. \n":                       "zen.spamhaus.org",
		"zen.spamhaus.org=127.0.0.[2..11]*5":          "zen.spamhaus.org=127.0.0.[2..11]*5",
		"zen.spamhaus.org = 127.0.0.[10;11] * 2.5":    "zen.spamhaus.org=127.0.0.[10..11]*2.5",
		"list.dnswl.org=127.0.[0..255].[1..3]*-2":     "list.dnswl.org=127.0.[0..255].[1..3]*-2",
		"bl.spamcop.net*0":                            "bl.spamcop.net*0",
		"bl.spamcop.net*-0.0":                         "bl.spamcop.net*0",
		"bl.spamcop.net*99.9":                         "bl.spamcop.net*99.9",
		"bl.spamcop.net*-99.9":                        "bl.spamcop.net*-99.9",
		"bl.spamcop.net*007":                          "bl.spamcop.net*7",
		"local_list.example.com=127.0.0.1*2":          "local_list.example.com=127.0.0.1*2",
		"score.senderscore.com=127.0.4.[0..20]*1.5":   "score.senderscore.com=127.0.4.[0..20]*1.5",
		"wl.mailspike.net=127.0.0.[18..20]*-2":        "wl.mailspike.net=127.0.0.[18..20]*-2",
		"key1234567890abcdef.zen.dq.spamhaus.net*4.0": "key1234567890abcdef.zen.dq.spamhaus.net*4",
	} {
		var e Entry
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := e.MarshalText()
		if string(got) != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	if text, err := (Entry{}).MarshalText(); err == nil {
		t.Errorf("no entry is written as %q", text)
	}
}

func TestAnyEntryComesBackAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{Zone: rapid.StringMatching(`[a-z]{1,9}\.[a-z0-9]{1,9}\.test`).Draw(t, "zone")}
		if rapid.Bool().Draw(t, "codes") {
			text, _ := drawn(t, "pattern")
			e.Codes = pattern(text)
		}
		if e.Weighted = rapid.Bool().Draw(t, "weighted"); e.Weighted {
			e.Weight = Score(rapid.IntRange(-999, 999).Draw(t, "weight"))
		}
		text, err := e.MarshalText()
		if e.Codes.onlyErrors() {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var back Entry
		if err := back.UnmarshalText(text); err != nil || back != e {
			t.Fatalf("%s came back as %v, %v", text, back, err)
		}
		if e.String() != string(text) {
			t.Fatalf("%s is shown as %s without a key in it", text, e)
		}
	})
}

func FuzzEntry(f *testing.F) {
	for _, s := range []string{"zen.spamhaus.org=127.0.0.[2..11]*5", "bl.spamcop.net*-2.5", "a.b*", "a.b=*1", "x.test=127.[0..1].[2;3].4",
		"key1234567890abcdef.zen.dq.spamhaus.net", " A.Test.=127.0.0.2 * 0.1", "dnsbl.sorbs.net", "zen", "*", "=", "a.b=127.0.0.[2..]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var e Entry
		if e.UnmarshalText([]byte(text)) != nil {
			return
		}
		once, err := e.MarshalText()
		if err != nil {
			t.Fatalf("%q was taken, and can't be written: %v", text, err)
		}
		var back Entry
		if err := back.UnmarshalText(once); err != nil || back != e {
			t.Fatalf("%q is written as %q, which is %v, %v", text, once, back, err)
		}
		if twice, _ := back.MarshalText(); string(twice) != string(once) {
			t.Fatalf("%q is written as %q, then as %q", text, once, twice)
		}
		if e.Codes.octets[0] != (octetSet{}) && !e.Codes.octets[0].has(127) || max(e.Weight, -e.Weight) > maxWeight {
			t.Fatalf("%q gave %+v", text, e)
		}
		kind := OfAddresses
		if k := lookUp(e.Zone); k != nil && k.kinds == listsNames {
			kind = OfNames
		}
		if _, err := Zones(kind, []Entry{e}); err != nil {
			t.Fatalf("%q was taken, and makes no zone: %v", text, err)
		}
	})
}
