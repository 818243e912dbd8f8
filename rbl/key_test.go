package rbl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cut is a text as long as what is kept of one, that ends so. uncut takes off what it begins with.
func cut(end string) string    { return strings.Repeat(" ", MaxText-len(end)) + end }
func uncut(text string) string { return strings.TrimLeft(text, " ") }

func TestAKeyIsMaskedInWhatItsListSays(t *testing.T) {
	keyed := &Zone{Name: "abcdef12345.zen.dq.spamhaus.net", Public: "***.zen.dq.spamhaus.net"}
	two := &Zone{Name: "a1b2.c3d4.zen.dq.spamhaus.net", Public: "***.zen.dq.spamhaus.net"}
	plain := &Zone{Name: "bl.example", Public: "bl.example"}
	for _, c := range []struct {
		zone       *Zone
		text, want string
	}{
		{keyed, "see https://example.org/?k=abcdef12345", "see https://example.org/?k=***"},
		{keyed, "7.113.0.203.AbCdEf12345.ZEN.dq.spamhaus.net", "7.113.0.203.***.zen.dq.spamhaus.net"},
		{keyed, "ABCDEF12345abcdef12345 twice", "****** twice"},
		{keyed, "the zen of dq at spamhaus.net", "the zen of dq at spamhaus.net"},
		{keyed, "", ""},
		{two, "c3d4 and A1B2", "*** and ***"},
		{keyed, cut("7.113.0.203.AbCdEf12345.zen"), "7.113.0.203.***.zen"}, // as long as it may be, and cut
		{keyed, cut("7.113.0.203.AbCdEf1234"), "7.113.0.203.***"},
		{keyed, cut("7.113.0.203.abc"), "7.113.0.203.***"},
		{keyed, "the zone abc", "the zone abc"},
		{plain, "BL.example lists you", "BL.example lists you"},
	} {
		if got := uncut(c.zone.hide(c.text)); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestAKeyIsMasked(t *testing.T) {
	for zone, want := range map[string]string{
		"zen.spamhaus.org":                             "zen.spamhaus.org",
		"combined.mail.abusix.zone":                    "combined.mail.abusix.zone",
		"k.zen.dq.spamhaus.net":                        "***.zen.dq.spamhaus.net",
		"k.sbl-xbl.dq.spamhaus.net":                    "***.sbl-xbl.dq.spamhaus.net",
		"a.k.dbl.dq.spamhaus.net":                      "***.dbl.dq.spamhaus.net",
		"k.new.dq.spamhaus.net":                        "***.dq.spamhaus.net",
		"k.dq.spamhaus.net":                            "***.dq.spamhaus.net",
		"dq.spamhaus.net":                              "dq.spamhaus.net",
		"0123456789abcdef.combined.mail.abusix.zone":   "***.combined.mail.abusix.zone",
		"k.mail-beta.abusix.zone":                      "k.mail-beta.abusix.zone", // not known; no random label
		"abcdefgh12345678.lists.example":               "***.lists.example",
		"3f2504e0-4f89-11d3-9a0c-0305e82c3301.example": "***.example",
		"bl.abcdefgh12345678.example":                  "bl.***.example",
		"freshzero.spameatingmonkey.net":               "freshzero.spameatingmonkey.net",
		"abcdefghijklmnopqrst.example":                 "abcdefghijklmnopqrst.example",
		"dnsbl-1.uceprotect.net":                       "dnsbl-1.uceprotect.net",
	} {
		if got := publicName(zone); got != want {
			t.Errorf("%s is shown as %s, want %s", zone, got, want)
		}
	}
	for _, k := range catalogue {
		if publicName(k.zone) != k.zone {
			t.Errorf("%s is shown as %s", k.zone, publicName(k.zone))
		}
	}
	for _, d := range dead {
		if publicName(d.domain) != d.domain {
			t.Errorf("%s is shown as %s", d.domain, publicName(d.domain))
		}
	}
}

// TestNobodyIsShownAKey writes a key into whatever an administrator may write around it, right or wrong, and looks for it
// in everything that comes out.
func TestNobodyIsShownAKey(t *testing.T) {
	random := rapid.Custom(func(t *rapid.T) string { // as services make them
		return rapid.StringMatching(`[a-z0-9]{8,20}[a-z][0-9][a-z0-9]{7,10}`).Draw(t, "random")
	})
	any := rapid.StringMatching(`[a-z0-9_]([a-z0-9_-]{6,20})[a-z0-9_]`) // as somebody may have chosen one
	zone := rapid.Custom(func(t *rapid.T) string {
		at := rapid.SampledFrom([]string{".zen.dq.spamhaus.net", ".dbl.dq.spamhaus.net", ".zne.dq.spamhaus.net", ".dq.spamhaus.net",
			".combined.mail.abusix.zone", ".mail.abusix.zone", "!.zen.dq.spamhaus.net", " .zen.dq.spamhaus.net",
			".zen.dq.spamhaus.net.", "/zen.dq.spamhaus.net", "..zen.dq.spamhaus.net"}).Draw(t, "service")
		return "KEY" + at
	})
	elsewhere := rapid.SampledFrom([]string{"KEY.bl.example", "bl.KEY.example", "KEY.zen.dq.spamhaus.nett", "KEY.dnsbl.sorbs.net", "KEY",
		"https://KEY.bl.example/", "KEY bl.example", "KEY..bl.example"})
	rapid.Check(t, func(t *rapid.T) {
		key, name := "", ""
		if rapid.Bool().Draw(t, "known service") {
			key, name = any.Draw(t, "key"), zone.Draw(t, "zone")
		} else {
			key, name = random.Draw(t, "key"), elsewhere.Draw(t, "zone")
		}
		text := name + rapid.SampledFrom([]string{"", "*2", "=127.0.0.2", "=127.0.0.[2..11]*-2.5", "=127.0.0.[2", "*x", "=*", "*2*3",
			"=127.255.255.[0..255]", ", bl.example", "*1000"}).Draw(t, "rest")
		if strings.Contains(text, key) {
			return // the key is an ordinary word
		}
		if rapid.Bool().Draw(t, "upper case") {
			key = strings.ToUpper(key)
		}
		text = strings.ReplaceAll(text, "KEY", key)
		shown := shownOf(text)
		for _, s := range shown {
			if strings.Contains(strings.ToLower(s), strings.ToLower(key)) {
				t.Fatalf("%q with the key %q shows %q", text, key, s)
			}
		}
	})
}

// shownOf returns all that anybody is told of an entry.
func shownOf(text string) []string {
	var e Entry
	var shown []string
	if err := e.UnmarshalText([]byte(text)); err != nil {
		shown = append(shown, err.Error())
	}
	// as a library may be given it
	raw, _, _ := strings.Cut(text, "=")
	for _, e := range []Entry{e, {Zone: raw}, {Zone: raw, Weighted: true, Weight: 5000}} {
		shown = append(shown, e.String(), fmt.Sprint(e), fmt.Sprintf("%+v", e))
		if _, err := e.MarshalText(); err != nil {
			shown = append(shown, err.Error())
		}
		for _, kind := range []Kind{OfAddresses, OfNames} {
			zones, err := Zones(kind, []Entry{e})
			if err != nil {
				shown = append(shown, err.Error())
				continue
			}
			z := zones[0]
			j, _ := json.Marshal(z)
			shown = append(shown, z.Public, z.Operator, z.URL, z.Needs, z.String(), fmt.Sprintf("%v %+v", z, z), string(j))
			for _, answer := range []string{"192.0.2.1", "127.255.255.254", "127.0.0.1", "127.0.0.77", "127.0.1.255", "127.0.0.2"} {
				r := z.Read(addressesOf(answer))
				_, meanings := z.Weigh(r.Codes)
				shown = append(shown, r.Why, strings.Join(meanings, " "))
			}
		}
		if _, err := QueryName("example.com", e.Zone+strings.Repeat(".a", 130)); err != nil {
			shown = append(shown, err.Error())
		}
	}
	return shown
}
