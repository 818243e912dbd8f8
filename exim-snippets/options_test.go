package eximsnippets

import (
	"strings"
	"testing"
)

func TestATimeoutThatEximWouldTakeForNeverIsRefused(t *testing.T) {
	cases := []struct {
		timeout string
		ok      bool
	}{
		{"500ms", false}, {"0.5s", false}, {"1", false}, {"0s", false}, {"abc", false}, {"s", false}, {"-1s", false},
		{"+1s", false}, {"01s", false}, {"1m", false}, {"1m30s", false}, {" 3s", false}, {"3s ", false}, {"3S", false},
		{"61s", false}, {"99999999999999999999s", false}, {"3s}", false}, {"３s", false},
		{"", true}, {"1s", true}, {"3s", true}, {"10s", true}, {"60s", true},
	}
	for _, c := range cases {
		_, err := Render("stock", Options{Timeout: c.timeout})
		if (err == nil) != c.ok {
			t.Errorf("timeout %q: %v", c.timeout, err)
		}
		if err != nil && !strings.Contains(err.Error(), "write ") {
			t.Errorf("timeout %q: the error says not what to do: %v", c.timeout, err)
		}
	}
}

func TestAPathThatEximWouldReadOtherwiseIsRefused(t *testing.T) {
	cases := []struct {
		path string
		ok   bool
	}{
		{"run/policy.sock", false}, {"./policy.sock", false}, {"/run/a b", false}, {"/run/$pid", false},
		{"/run/${run{id}}", false}, {"/run/a}b", false}, {"/run/a\nb", false}, {"/run/a:b", false}, {"/run/é", false},
		{"/run/@DIR@", false}, {"/run/../etc", false}, {"/run//x", false}, {"/run/x/", false}, {"/", false},
		{"/" + strings.Repeat("a", 107), false},
		{"", true}, {"/" + strings.Repeat("a", 106), true}, {"/run/exim-policy_d/p+1.sock", true},
	}
	for _, c := range cases {
		if _, err := Render("debian-unsplit", Options{Socket: c.path}); (err == nil) != c.ok {
			t.Errorf("socket %q: %v", c.path, err)
		}
		if len(c.path) > 100 {
			continue // only a socket's length is bounded
		}
		if _, err := Render("debian-unsplit", Options{Dir: c.path}); (err == nil) != c.ok {
			t.Errorf("dir %q: %v", c.path, err)
		}
	}
}

func TestOptionsReachEveryText(t *testing.T) {
	for _, flavour := range All() {
		files, err := Render(flavour, Options{Socket: "/srv/p/door", Timeout: "7s", Dir: "/opt/exim"})
		if err != nil {
			t.Fatal(err)
		}
		var all, places strings.Builder
		for _, f := range files {
			all.WriteString(f.Text)
			places.WriteString(f.Place)
		}
		for _, want := range []string{"/srv/p/door", "7s", "/srv/p/bypass"} {
			if !strings.Contains(all.String(), want) {
				t.Errorf("%s: %q is nowhere", flavour, want)
			}
		}
		if strings.Contains(all.String(), DefaultSocket) || strings.Contains(all.String(), DefaultDir(flavour)+"/") {
			t.Errorf("%s: a default is left although it was overridden", flavour)
		}
		if !strings.Contains(places.String(), "/opt/exim/") {
			t.Errorf("%s: the folder does not show in %q", flavour, places.String())
		}
	}
}

func TestAnUnknownFlavourNamesThoseThatExist(t *testing.T) {
	_, err := Render("postfix", Options{})
	if err == nil || !strings.Contains(err.Error(), "stock, debian-split, debian-unsplit, cpanel, directadmin") {
		t.Error(err)
	}
}
