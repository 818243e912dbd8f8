package config

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"pgregory.net/rapid"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// FuzzParse wants no crash, only clear mistakes that lie in the file, the same result each time, and, what go-toml
// holds to be TOML and TOML only, no mistake of syntax.
func FuzzParse(f *testing.F) {
	f.Add([]byte(DefaultText(withExtra())))
	f.Add([]byte(written(seeds()).String()))
	table := withExtra()
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, table)
		if err == nil {
			if c == nil || c.Own == nil || len(c.Policies) != len(table) {
				t.Fatalf("no whole configuration: %+v", c)
			}
			var tree map[string]any
			if err := toml.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &tree); err != nil {
				t.Fatalf("taken, but not TOML: %v", err)
			}
			return
		}
		var m Mistakes
		if !errors.As(err, &m) || len(m) == 0 || c != nil {
			t.Fatalf("%T with %v", err, c)
		}
		lines := bytes.Split(data, []byte("\n"))
		for _, one := range m {
			s := one.Error()
			if strings.ContainsAny(s, "\n\r\x00\x1b") || len(s) > 1000 || one.Text == "" {
				t.Errorf("no clear line: %q", s)
			}
			if one.Line > len(lines) || one.Line > 0 && one.Column > len(lines[one.Line-1])+1 {
				t.Errorf("outside of the file: %s", s)
			}
		}
		if _, again := Parse("f", data, table); again == nil || again.Error() != err.Error() {
			t.Errorf("first %v, then %v", err, again)
		}
	})
}

// syntactic are the words of mistakes that say a text is no TOML.
func syntactic(m Mistakes) bool {
	for _, one := range m {
		for _, words := range []string{"expected", "never closed", "closing quote", "needs quotes", "has no value",
			"invalid", "given already", "two brackets", "UTF-8", "too many"} {
			if strings.Contains(one.Text, words) {
				return true
			}
		}
	}
	return false
}

// Whatever the keys, a text that go-toml can read has no mistake of syntax here, and one that it can't read has one.
func TestWhatIsSyntaxIsAsGoTOMLSees(t *testing.T) {
	pieces := []string{"\n", "\n", "a", "b.c", " = ", "1", `"x"`, "'y'", "[", "]", "{", "}", ",", " ", "# c", `"""`, "'''", "\r\n",
		"[t]\n", "[t.u]\n", "2026-12-01\n", "true", "\t", "\\", "k = [\n", "]\n", "m = {n = 1}\n", "a = 1\n", "b = \"\"\"\n", "\"\"\"\n"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 14).Draw(t, "pieces"), "")
		var tree map[string]any
		bad := toml.Unmarshal([]byte(text), &tree)
		_, err := Parse("f", []byte(text), nil)
		var m Mistakes
		errors.As(err, &m)
		if syntactic(m) != (bad != nil) {
			t.Fatalf("%q: go-toml says %v, we say %v", text, bad, err)
		}
	})
}

// drawn is a configuration and one of the ways to write it.
type drawn struct {
	*rapid.T
	strings.Builder
	want *Config
}

func (d *drawn) yes(label string) bool { return rapid.Bool().Draw(d.T, label) }

func (d *drawn) oneOf(label string, list ...string) string {
	return rapid.SampledFrom(list).Draw(d.T, label)
}

// key writes one, with blanks and comments where they may be.
func (d *drawn) key(name, value string) {
	d.WriteString(d.oneOf("indent", "", " ", "\t") + d.oneOf("name", name, `"`+name+`"`) + d.oneOf("equals", "=", " = "))
	d.WriteString(value + d.oneOf("end", "\n", " # c\n", "\r\n", "\n\n"))
}

func (d *drawn) text(s string) string {
	if !strings.ContainsAny(s, "'\n\r\x00\x7f") && d.yes("literal") && strings.IndexFunc(s, func(c rune) bool { return c < ' ' && c != '\t' }) < 0 {
		return "'" + s + "'"
	}
	if d.yes("long") {
		return `""` + quote(s) + `""`
	}
	return quote(s)
}

func (d *drawn) list(items []string) string {
	sep := d.oneOf("between", ",", ", ", ",\n  ", " # c]\n , ")
	return "[" + d.oneOf("open", "", "\n", " # [\n") + strings.Join(items, sep) + d.oneOf("close", "]", "\n]", " ]")
}

func (d *drawn) texts(list []string) string {
	items := make([]string, len(list))
	for i, s := range list {
		items[i] = d.text(s)
	}
	return d.list(items)
}

func (d *drawn) names(label string) []string {
	return rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9]{0,8}(\.[a-z]{2,5}){0,2}`), 1, 4, rapid.ID).Draw(d.T, label)
}

func (d *drawn) mode(label string) policy.Mode {
	return rapid.SampledFrom([]policy.Mode{policy.Observe, policy.Off, policy.Enforce}).Draw(d.T, label)
}

func (d *drawn) top() {
	c := d.want
	c.Mode = d.mode("most")
	d.key("mode", d.text(c.Mode.String()))
	c.Listen.Peers = d.names("peers")
	for i := range c.Listen.Peers {
		c.Listen.Peers[i] = strings.ReplaceAll(c.Listen.Peers[i], ".", "")
	}
	if len(c.Listen.Peers) > 1 {
		c.Listen.Peers = c.Listen.Peers[:1]
	}
	c.Listen.Prove = d.yes("prove")
	prove := map[bool]string{true: "on", false: "off"}[c.Listen.Prove]
	c.Listen.Socket = "/" + strings.Join(d.names("socket"), "/")
	if d.yes("inline") {
		d.key("listen", "{prove = "+d.text(prove)+", socket = "+d.text(c.Listen.Socket)+", peers="+d.texts(c.Listen.Peers)+"}")
	} else {
		d.WriteString("[ listen ]\n")
		d.key("prove", d.text(prove))
		d.key("socket", d.text(c.Listen.Socket))
		d.key("peers", d.texts(c.Listen.Peers))
	}
}

func (d *drawn) exempt() {
	e := &d.want.Exempt
	d.WriteString("[exempt]\n")
	var items []string
	e.Deny = &policy.Prefixes{}
	for _, n := range rapid.SliceOfNDistinct(rapid.Uint32(), 1, 5, func(n uint32) uint32 { return n >> 24 }).Draw(d.T, "deny") {
		addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		bits := rapid.IntRange(8, 32).Draw(d.T, "bits")
		p, _ := addr.Prefix(bits)
		e.Deny.Add(p)
		switch {
		case bits == 32 && d.yes("address"):
			items = append(items, addr.String())
		case d.yes("mapped"):
			items = append(items, "::ffff:"+p.Addr().String()+"/"+strconv.Itoa(96+bits))
		default:
			items = append(items, p.String())
		}
	}
	d.key("deny", d.texts(items))
	e.SubmissionPorts = rapid.SliceOfNDistinct(rapid.IntRange(1, 65535), 1, 4, rapid.ID).Draw(d.T, "ports")
	d.key("submission_ports", numbers(e.SubmissionPorts))
}

func (d *drawn) dns() {
	d.WriteString("[dns]\n")
	d.want.DNS.Ask = d.yes("ask")
	d.key("ask", d.text(map[bool]string{true: "on", false: "off"}[d.want.DNS.Ask]))
	var items []string
	for _, n := range rapid.SliceOfNDistinct(rapid.Uint16(), 1, 4, rapid.ID).Draw(d.T, "servers") {
		addr := netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
		if d.yes("v6") {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(n >> 8), 15: byte(n)})
		}
		at := netip.AddrPortFrom(addr, uint16(rapid.IntRange(1, 65535).Draw(d.T, "port")))
		switch {
		case d.yes("53"):
			at = netip.AddrPortFrom(addr, 53)
			items = append(items, addr.String())
		case addr.Is4() && d.yes("mapped"):
			items = append(items, netip.AddrPortFrom(netip.AddrFrom16(addr.As16()), at.Port()).String())
		default:
			items = append(items, at.String())
		}
		d.want.DNS.Servers = append(d.want.DNS.Servers, at)
	}
	d.key("servers", d.texts(items))
}

func (d *drawn) metrics() {
	m := &d.want.Metrics
	d.WriteString("[metrics]\n")
	port := uint16(rapid.IntRange(1, 65535).Draw(d.T, "port"))
	switch d.oneOf("place", "off", "socket", "v4", "v6", "mapped") {
	case "socket":
		m.Socket = "/" + strings.Join(d.names("socket"), "/")
	case "v4":
		m.Listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 3, 2, 1}), port)
	case "v6":
		m.Listen = netip.AddrPortFrom(netip.IPv6Loopback(), port)
	case "mapped":
		m.Listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
		d.key("listen", d.text("[::ffff:127.0.0.1]:"+strconv.Itoa(int(port))))
		return
	}
	d.key("listen", d.text(m.String()))
}

func (d *drawn) lists() {
	d.WriteString("[policy.rbl]\n")
	x := d.want.Policies["rbl"].Settings.(*policy.RBL)
	tenths := rapid.IntRange(1, 1000).Draw(d.T, "threshold")
	x.Threshold = float64(tenths) / 10
	d.key("threshold", float(x.Threshold)+d.oneOf("more", "", "0"))
	x.Names = rapid.Permutation([]string{"helo", "sender", "ptr"}).Draw(d.T, "names")
	d.key("names", d.texts(x.Names))
	x.Zones, x.NameZones = d.entries("zones"), d.entries("name_zones")
}

// entries writes lists of one zone, each with a code of its own.
func (d *drawn) entries(key string) (list []rbl.Entry) {
	var items []string
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(2, 255), 1, 5, rapid.ID).Draw(d.T, key) {
		codes, err := rbl.ParsePattern("127.0.0." + strconv.Itoa(n))
		if err != nil {
			d.T.Fatal(err)
		}
		e := rbl.Entry{Zone: "one.test", Codes: codes, Weight: rbl.Score(rapid.IntRange(-999, 999).Draw(d.T, "weight")), Weighted: true}
		list = append(list, e)
		items = append(items, e.String())
	}
	d.key(key, d.texts(items))
	return list
}

func (d *drawn) policies() {
	s := d.want.Policies["extra"]
	x := s.Settings.(*extra)
	d.WriteString("[policy.extra]\n")
	x.Word = rapid.String().Draw(d.T, "word")
	d.key("word", d.text(strings.ToValidUTF8(x.Word, "")))
	x.Flag = x.Word != "" && d.yes("flag")
	d.key("flag", strconv.FormatBool(x.Flag))
	x.Count = rapid.IntRange(-1e9, 100).Draw(d.T, "count")
	d.key("count", strconv.Itoa(x.Count))
	x.Share = rapid.Float64Range(-1e6, 1e6).Draw(d.T, "share")
	d.key("share", float(x.Share))
	x.Words = rapid.SliceOfN(rapid.String(), 1, 4).Draw(d.T, "words")
	d.key("words", d.texts(x.Words))
	x.Wait = time.Duration(rapid.Int64().Draw(d.T, "wait"))
	d.key("wait", d.text(x.Wait.String()))
	s.Mode = policy.Known(d.mode("mode"))
	d.key("mode", d.text(s.Mode.Value.String()))
	s.GraceUntil = time.Date(rapid.IntRange(1000, 9999).Draw(d.T, "year"), time.Month(rapid.IntRange(1, 12).Draw(d.T, "month")),
		rapid.IntRange(1, 28).Draw(d.T, "day"), 0, 0, 0, 0, time.Local)
	date := s.GraceUntil.Format(time.DateOnly)
	d.key("grace_until", d.oneOf("date", date, quote(date)))
	s.Rules = map[string]policy.Mode{"X1": d.mode("X1"), "X2": d.mode("X2")}
	one, two := d.text(s.Rules["X1"].String()), d.text(s.Rules["X2"].String())
	switch d.oneOf("rules", "inline", "dotted", "table") {
	case "inline":
		d.key("rules", "{X2="+two+", "+d.oneOf("line", "", "\n")+"X1 = "+one+"}")
	case "dotted":
		d.WriteString("rules.X1 = " + one + "\nrules . 'X2' = " + two + "\n")
	default:
		d.WriteString("[policy.extra.rules]\nX1 = " + one + "\nX2 = " + two + "\n")
	}
	d.want.Policies["extra"] = s
}

func TestAConfigurationIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := &drawn{T: rt, want: defaults(withExtra())}
		d.top()
		d.exempt()
		d.dns()
		d.metrics()
		d.lists()
		d.policies()
		got, err := Parse("f.toml", []byte(d.String()), withExtra())
		if err != nil {
			rt.Fatalf("%v\nin:\n%s", err, d.String())
		}
		if diff := difference(got, d.want); diff != "" {
			rt.Fatalf("%s\nin:\n%s", diff, d.String())
		}
	})
}
