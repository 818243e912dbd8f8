package scenario

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// field is something that a decision says and that can be expected.
type field struct {
	name string
	says func(*acl.Decision) string
	fits func(want, got string) bool             // nil: they are the same
	read func(text string) (value, fault string) // nil: it may be anything
}

// none is said of what is not there.
const none = "none"

// fields are all of them. The table is only read.
var fields = []field{
	{name: "action", says: func(d *acl.Decision) string { return d.Action.String() }, read: oneOf(actionWords()...)},
	{name: "code", says: func(d *acl.Decision) string { return orNone(d.Code) }, read: readCode},
	{name: "rule", says: func(d *acl.Decision) string { return orNone(d.Rule) }, read: oneOf(append(ruleNames(), none)...)},
	{name: "would", says: func(d *acl.Decision) string { return orNone(d.Would.String()) }, read: oneOf(append(actionWords()[1:], none)...)},
	{name: "score", says: func(d *acl.Decision) string { return d.Score.String() }, read: readScore},
	{name: "mark", says: func(d *acl.Decision) string { return yesOrNo(d.Mark) }, read: oneOf("yes", "no")},
	{name: "class", says: func(d *acl.Decision) string { return d.Class.String() }, read: oneOf(classWords()...)},
	{name: "delay", says: func(d *acl.Decision) string { return strconv.Itoa(d.Delay) }, read: readCount},
	{name: "hit", says: func(d *acl.Decision) string { return orNone(strings.Join(d.Rules, ",")) }, fits: among, read: each(oneOf(append(ruleNames(), none)...))},
	{name: "reason", says: func(d *acl.Decision) string { return orNone(d.Reason) }, fits: within},
	{name: "text", says: func(d *acl.Decision) string { return orNone(d.Text) }, fits: within},
	{name: "source", says: func(d *acl.Decision) string { return toldOf(d).How }, read: oneOf(policy.Sendmail, policy.SMTP, policy.Login, none)},
	{name: "account", says: func(d *acl.Decision) string { return toldOf(d).Account }},
	{name: "ban", says: bansOf, fits: among, read: each(readNetwork)},
	{name: "level", says: levelsOf, fits: among, read: each(readCount)},
}

func fieldNamed(name string) *field {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &fields[i]
}

func fieldNames() []string {
	var names []string
	for i := range fields {
		names = append(names, fields[i].name)
	}
	return names
}

// compare returns the line that would have been right, and whether it is the one that stands there. One with another
// action, or without a word, becomes the whole reply.
func (w *want) compare(d *acl.Decision) (right want, same bool) {
	right, same = *w, len(w.is) > 0
	right.is = nil
	for _, e := range w.is {
		got := e.field.says(d)
		if e.field.fits == nil && got != e.value || e.field.fits != nil && !e.field.fits(e.value, got) {
			e.value, same = got, false
		}
		right.is = append(right.is, e)
	}
	if w.reply && !same && (len(w.is) == 0 || right.is[0].value != w.is[0].value) {
		right.is = append(whole(d), slices.DeleteFunc(right.is, func(e expected) bool {
			return slices.Contains([]string{"action", "code", "rule"}, e.field.name)
		})...)
	}
	return right, same
}

// whole is what Exim is told.
func whole(d *acl.Decision) []expected {
	names := []string{"action"}
	if d.Action > policy.Delay && d.Code != "" {
		names = append(names, "code")
	}
	if d.Action != policy.Dunno {
		names = append(names, "rule")
	}
	var all []expected
	for _, name := range names {
		f := fieldNamed(name)
		all = append(all, expected{f, f.says(d)})
	}
	return all
}

// toldOf is what is told of a message of ours.
func toldOf(d *acl.Decision) policy.Source {
	if d.Source == nil {
		return policy.Source{How: none, Account: none}
	}
	s := *d.Source
	s.Account = orNone(s.Account)
	return s
}

func actionWords() (words []string) {
	for a := policy.Dunno; a <= policy.Freeze; a++ {
		words = append(words, a.String())
	}
	return words
}

func classWords() (words []string) {
	for c := policy.Outside; c <= policy.NullSender; c++ {
		words = append(words, c.String())
	}
	return slices.Compact(words) // both relay classes have one
}

// ruleNames are those of the rules, and of what objects besides.
func ruleNames() []string {
	names := []string{"ban", "deny", "score"}
	for _, b := range policy.Bind(policy.Table(), nil, policy.Enforce) {
		names = append(names, b.Name)
	}
	return names
}

func bansOf(d *acl.Decision) string {
	var list []string
	for i := range d.Bans {
		list = append(list, d.Bans[i].Network.String())
	}
	return orNone(strings.Join(list, ","))
}

func levelsOf(d *acl.Decision) string {
	var list []string
	for i := range d.Bans {
		list = append(list, strconv.Itoa(d.Bans[i].Level))
	}
	return orNone(strings.Join(list, ","))
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// among reports whether each item of one list is in the other.
func among(want, got string) bool {
	have := strings.Split(got, ",")
	for item := range strings.SplitSeq(want, ",") {
		if !slices.Contains(have, item) {
			return false
		}
	}
	return true
}

func within(want, got string) bool { return strings.Contains(got, want) }

func oneOf(words ...string) func(string) (string, string) {
	return func(s string) (string, string) {
		if slices.Contains(words, s) {
			return s, ""
		}
		return "", "is none of them" + meant(s, words)
	}
}

// each reads a list with commas.
func each(read func(string) (string, string)) func(string) (string, string) {
	return func(s string) (string, string) {
		items := strings.Split(s, ",")
		for i, item := range items {
			value, fault := read(item)
			if fault != "" {
				if len(items) > 1 {
					fault = "has " + shown(item) + ", which " + fault
				}
				return "", fault
			}
			items[i] = value
		}
		return strings.Join(items, ","), ""
	}
}

func readCode(s string) (string, string) {
	form := strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return '0'
		}
		return c
	}, s)
	if s == none || form == "000 0.0.0" && s[0] == s[len("550 ")] {
		return s, ""
	}
	return "", "is no code: write it as 550 5.7.1"
}

// isCode reports whether a word can be the first of a code.
func isCode(s string) bool { return len(s) == 3 && strings.Trim(s, "0123456789") == "" }

func readScore(s string) (string, string) {
	f, err := strconv.ParseFloat(s, 64)
	tenths := math.Round(f * 10)
	if err != nil || !(math.Abs(f) <= 1000) || math.Abs(f*10-tenths) > 1e-6 {
		return "", "is no score: write it as 3.0"
	}
	return policy.Score(tenths).String(), ""
}

func readCount(s string) (string, string) {
	n, err := strconv.ParseUint(s, 10, 16)
	if s == none {
		return s, ""
	}
	if err != nil {
		return "", "is no whole number"
	}
	return strconv.FormatUint(n, 10), ""
}

func readNetwork(s string) (string, string) {
	if s == none {
		return s, ""
	}
	p, err := netip.ParsePrefix(s)
	if a, bad := netip.ParseAddr(s); bad == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return "", "is no network: write it as 203.0.113.0/24"
	}
	return p.Masked().String(), ""
}

// shown quotes a text of the file for a mistake.
func shown(s string) string { return fmt.Sprintf("%.60q", s) }
