package scenario

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/internal/dnstest"
)

// mostFuzzed bounds a file: a worker has ten seconds for one, also on a machine that does something else besides.
const mostFuzzed = 16 << 10

// written writes a file from what was read of it.
func written(f *File) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\n") }
	var last Case
	for _, c := range f.Cases {
		// Before the first section every case has the defaults, and after one an empty section brings them back.
		if c.config != last.config && (last.config != nil || len(c.config.text) > 0) {
			line("-- config --")
			for _, s := range c.config.text {
				line(s)
			}
		}
		if c.dns != last.dns {
			line("-- dns --")
			for _, r := range c.dns.records {
				line(r.String())
			}
		}
		if c.exim != last.exim {
			line("-- exim --")
			for _, w := range c.exim.words {
				line(w.Name + "=" + quoted(w.Value))
			}
		}
		line("-- case " + c.Name + " --")
		for _, s := range c.steps {
			line(s.String())
			for _, w := range s.wants {
				line(w.String())
			}
		}
		last = c
	}
	return b.String()
}

// roomy reports whether no line is so long that a reader refuses it. One that was read may be when it is written: 3 is 3.0 then.
func roomy(text string) bool {
	for line := range strings.Lines(text) {
		if len(strings.TrimSuffix(line, "\n")) > maxLine {
			return false
		}
	}
	return true
}

// gist is what a file says, without its lines and numbers.
type gist struct {
	Name, Config, DNS string
	Exim              any
	Steps             []any
}

func gistOf(f *File) (all []gist) {
	for _, c := range f.Cases {
		g := gist{Name: c.Name, Config: strings.Join(c.config.text, "\n"), Exim: c.exim.words, DNS: "off"}
		if c.dns != nil {
			g.DNS = ""
			for _, r := range c.dns.records {
				g.DNS += strings.Join(r.words, "\x00") + "\n"
			}
		}
		for _, s := range c.steps {
			verb := ""
			if s.verb != nil {
				verb = s.verb.name
			}
			g.Steps = append(g.Steps, []any{verb, s.arg, s.bare, s.tail, s.words, s.times, s.header, s.wait, s.until, s.reconnect})
			for _, w := range s.wants {
				is := []any{w.reply}
				for _, e := range w.is {
					is = append(is, e.field.name, e.value)
				}
				g.Steps = append(g.Steps, is)
			}
		}
		all = append(all, g)
	}
	return all
}

// FuzzParse reads anything, writes what it understood and must understand the same again. What it takes, a server takes.
func FuzzParse(f *testing.F) {
	for _, text := range examples(f) {
		f.Add(text)
	}
	f.Add("-- exim --\ntag=\"a \\\"b\\\" \\n\" # c\n-- case x --\n> connect\n> helo \"\"\n> mail from:<\"a b\"@x>\n< deny 550 5.7.1\n!\tscore=3\n@ +1d12h\n@ reconnect\n")
	f.Add("-- dns --\nbl.example lists\nbl.example lists ::1 127.0.0.3 127.0.0.4\n2001:db8::1 PTR a.example\na.example TXT \"a b\"\n-- case x --\n> NOT_SMTP user=7\n<\n")
	f.Add("-- config --\nmode = \"observe\"\n-- case x --\r\n> CONNECT\r\n< dunno\r\n-- config --\n-- case y --\n> CONNECT x3\n<\n> DATA\n  a: b\n  \tc\n   d\n")
	f.Add("-- case x --\n> CONNECT\n< dunno\n@ 2026-06-01T12:00:00.5Z\n@ +1ns\n")
	f.Add("-- exim --\ntag=#x\n-- exim --\n-- dns --\n-- case a -- --\n> CONNECT \"\"\n< deny code=\"550 5.7.1\"\n! code=none\n-- dns --\n-- case --\td -- \n>CONNECT ::1 x1\n<#\n! ban=::ffff:192.0.2.1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > mostFuzzed {
			return
		}
		first, err := Parse("a.scenario", []byte(text))
		if err != nil {
			return
		}
		if text := written(first); roomy(text) {
			again, err := Parse("a.scenario", []byte(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(gistOf(first), gistOf(again)); diff != "" {
				t.Fatalf("%s\n%s", diff, text)
			}
		}
		same, lines := first.Updated(&Result{})
		if same != text || lines != 0 {
			t.Fatalf("without a failure it becomes\n%s", same)
		}
		var served *dnsSection
		for _, c := range first.Cases {
			if c.dns != served {
				served = c.dns
				serves(t, c.dns)
			}
		}
	})
}

// serves puts records where a server would have them.
func serves(t *testing.T, d *dnsSection) {
	t.Helper()
	s, err := d.serve()
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
}

func closed(t *testing.T, s *dnstest.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzPlay plays anything that can be read, writes what came, and then it must come out as written.
func FuzzPlay(f *testing.F) {
	for _, text := range examples(f) {
		f.Add(text)
	}
	f.Add("-- case x --\n> CONNECT\n<# why\n> HELO \"a\\nb #\"\n!level=1\n")
	f.Add(forgeries + "-- case x --\n> NOT_SMTP user=nobody remote_count=1\n<\n> CONNECT 127.0.0.1 user=1\n<\n> AUTH a failed x30\n> HELO \" \"\n! reason=x text=y\n" +
		"> MAIL FROM:<>\n< drop\n@ reconnect\n! class=auth\n@ +9d\n> RCPT TO:<b@example.org> unknown x9\n< dunno 550 5.7.1\n! ban=none level=9\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > mostFuzzed {
			return
		}
		first, err := Parse("a.scenario", []byte(text))
		if err != nil || !quick(first) {
			return
		}
		r, err := first.Play(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		better, _ := first.Updated(&r)
		again, err := Parse("a.scenario", []byte(better))
		if err != nil {
			t.Fatalf("%v\n%s", err, better)
		}
		quick(again)
		second, err := again.Play(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Mend()
		if diff := cmp.Diff(failures(&r), failures(&second)); diff != "" {
			t.Fatalf("%s\n%s", diff, better)
		}
	})
}

// quick takes the DNS out of a file, and reports whether playing it takes no time.
func quick(f *File) bool {
	asked := 0
	for i := range f.Cases {
		f.Cases[i].dns = nil
		for _, s := range f.Cases[i].steps {
			asked += s.times
		}
	}
	return asked < 2000 && len(f.Cases) < 20
}
