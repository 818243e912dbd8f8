package relaytest

import (
	"net/netip"
	"strings"
	"testing"
)

// The table is what the command is worth: an entry that could be a mailbox, and does not say so, would call a closed server open.
func TestAFormThatIsNotLocalEndsAtADomainThatIsNotTheServers(t *testing.T) {
	for _, server := range []string{"192.0.2.25", "2001:db8::25"} {
		tt := &tester{Options: options(nil)}
		tt.Server = netip.MustParseAddr(server)
		tt.report = Report{Host: "mx.example.com", Domain: "example.com", Token: "t1234"}
		own := []string{"mx.example.com", "example.com", "localhost", "[" + bracketed(tt.Server) + "]", ""}
		for _, f := range Forms() {
			rcpt := tt.filler().Replace(f.Rcpt)
			_, domain := rcpt, ""
			if i := strings.LastIndex(rcpt, "@"); i >= 0 && !strings.HasSuffix(rcpt, `"`) {
				domain = rcpt[i+1:]
			}
			isOwn := false
			for _, o := range own {
				isOwn = isOwn || strings.EqualFold(domain, o)
			}
			if isOwn != f.Local {
				t.Errorf("%s: %s ends at %q, and local is %v", f.Name, rcpt, domain, f.Local)
			}
			if stray := !strings.Contains(rcpt, "relaytest") || !strings.Contains(rcpt, "www.example.org"); stray != f.Stray {
				t.Errorf("%s: %s, and stray is %v", f.Name, rcpt, f.Stray)
			}
		}
	}
}

func TestTheTableIsWhole(t *testing.T) {
	names, ways := map[string]bool{}, map[string]bool{}
	tt := &tester{Options: options(nil)}
	tt.report = Report{Host: "mx.example.com", Domain: "example.com", Token: "t1234"}
	fill := tt.filler()
	for _, f := range Forms() {
		way := fill.Replace(f.Mail) + " " + fill.Replace(f.Rcpt)
		if names[f.Name] || ways[way] {
			t.Errorf("%s stands there twice: %s", f.Name, way)
		}
		names[f.Name], ways[way] = true, true
		if f.Exploits == "" || f.Source == "" || f.Rcpt == "" || len(f.Name) > 21 {
			t.Errorf("%+v", f)
		}
		if strings.ContainsAny(way, "{}\r\n<>") {
			t.Errorf("%s: %q", f.Name, way)
		}
		if utf8 := strings.IndexFunc(way, func(r rune) bool { return r > '~' }) >= 0; utf8 != f.UTF8 {
			t.Errorf("%s: %q, and utf8 is %v", f.Name, way, f.UTF8)
		}
	}
	if len(names) < 25 {
		t.Errorf("only %d forms", len(names))
	}
	t.Logf("FIGURE relaytest: %d forms", len(names))
}
