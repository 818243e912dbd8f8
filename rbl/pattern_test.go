package rbl

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePattern(t *testing.T) {
	for _, c := range []struct{ name, text, wrong string }{
		{"nothing", "", `octet ""`},
		{"three octets", "127.0.0", "four octets"},
		{"five octets", "127.0.0.2.3", `".3"`},
		{"an octet over 255", "127.0.0.256", `octet "256"`},
		{"a sign", "127.0.0.+2", `octet "+2"`},
		{"another first octet", "192.0.2.1", "begin with 127"},
		{"a range without brackets", "127.0.0.2..11", "brackets"},
		{"a range with a hyphen", "127.0.0.[2-11]", `octet "2-11"`},
		{"a range from high to low", "127.0.0.[11..2]", "lower number comes first"},
		{"an open bracket", "127.0.0.[2..11", "not closed"},
		{"empty brackets", "127.0.0.[]", `octet ""`},
		{"an empty item", "127.0.0.[2;;4]", `octet ""`},
		{"a comma for a semicolon", "127.0.0.[2,4]", `octet "2,4"`},
		{"a blank inside", "127.0.0.[2; 4]", `octet " 4"`},
		{"brackets in brackets", "127.0.0.[[2]]", "octet"},
		{"a range without an end", "127.0.0.[2..]", `octet "2.."`},
		{"a mask", "127.0.0.0/24", "octet"},
		{"a star", "127.0.0.*", `octet "*"`},
	} {
		p, err := ParsePattern(c.text)
		if err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, %v, want an error with %q", c.name, p, err, c.wrong)
		}
	}
	// From Postfix's documentation and its users; what comes back is the one way to write it.
	for text, want := range map[string]string{
		"127.0.0.2":                    "127.0.0.2",
		"127.0.0.[2..11]":              "127.0.0.[2..11]",
		"127.0.0.[2..11;13]":           "127.0.0.[2..11;13]",
		"127.0.0.[13;2..11]":           "127.0.0.[2..11;13]",
		"127.0.0.[10;11]":              "127.0.0.[10..11]",
		"127.0.0.[4..7;5..9;7]":        "127.0.0.[4..9]",
		"127.0.[0..255].[1..3]":        "127.0.[0..255].[1..3]",
		"127.0.[2..3;5].[0;2]":         "127.0.[2..3;5].[0;2]",
		"127.000.00.[002]":             "127.0.0.2",
		"[126..128].0.0.2":             "[126..128].0.0.2",
		"[1;127;255].[7].[0..255].255": "[1;127;255].7.[0..255].255",
	} {
		if p, err := ParsePattern(text); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, p, err, want)
		}
	}
	if p := pattern("127.0.0.[2..4]").and(pattern("127.0.0.[5..9]")); !p.IsZero() {
		t.Errorf("what has nothing in common has %v", p)
	}
	if s := (Pattern{}).String(); s != "" {
		t.Errorf("the zero pattern is %q", s)
	}
}

// drawn is a pattern with the codes of it found by other means.
func drawn(t *rapid.T, label string) (string, func(Code) bool) {
	var octets []string
	var sets [3]map[byte]bool
	for i := range 3 {
		sets[i] = map[byte]bool{}
		var members []string
		for range rapid.IntRange(1, 4).Draw(t, label) {
			low := rapid.Byte().Draw(t, "low")
			high := rapid.ByteRange(low, 255).Draw(t, "high")
			for o := int(low); o <= int(high); o++ {
				sets[i][byte(o)] = true
			}
			if low == high {
				members = append(members, string(appendOctet(nil, low)))
			} else {
				members = append(members, string(appendOctet(nil, low))+".."+string(appendOctet(nil, high)))
			}
		}
		octets = append(octets, "["+strings.Join(members, ";")+"]")
	}
	return "127." + strings.Join(octets, "."), func(c Code) bool { return sets[0][c[0]] && sets[1][c[1]] && sets[2][c[2]] }
}

func TestAPatternHasWhatItSaysAndComesBackAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, has := drawn(t, "pattern")
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		other, otherHas := drawn(t, "other")
		q, _ := ParsePattern(other)
		overlap := p.and(q)
		for range 50 {
			c := Code(rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "code"))
			if p.Has(c) != has(c) {
				t.Fatalf("%s: %v is %v", text, c, p.Has(c))
			}
			if overlap.Has(c) != (has(c) && otherHas(c)) {
				t.Fatalf("%s and %s: %v is %v", text, other, c, overlap.Has(c))
			}
		}
		back, err := ParsePattern(p.String())
		if err != nil || back != p {
			t.Fatalf("%s came back as %s, %v", text, p, err)
		}
	})
}
