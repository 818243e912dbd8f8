package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// file puts seeds into one text and says what must be reported, line by line.
type file struct {
	strings.Builder
	line, column int
	want         []string
}

func (f *file) add(s seed) {
	before, after, _ := strings.Cut(s.text, "‸")
	f.put(before)
	f.want = append(f.want, fmt.Sprintf("f.toml:%d:%d: %s", f.line, f.column, s.want))
	f.put(after)
}

func (f *file) put(s string) {
	if f.line == 0 {
		f.line, f.column = 1, 1
	}
	f.WriteString(s)
	if n := strings.Count(s, "\n"); n > 0 {
		f.line += n
		f.column = len(s) - strings.LastIndexByte(s, '\n')
		return
	}
	f.column += len(s)
}

// written puts seeds in the order that TOML wants: the top, then table by table, then whole pieces.
func written(list []seed) *file {
	f := &file{}
	var tables []string
	for _, s := range list {
		if s.table != whole && !slices.Contains(tables, s.table) {
			tables = append(tables, s.table)
		}
	}
	slices.SortStableFunc(tables, func(a, b string) int { return min(len(a), 1) - min(len(b), 1) })
	for _, table := range tables {
		if table != "" {
			f.put("\n[" + table + "] # a table\n")
		}
		var lists []string
		for _, s := range list {
			switch {
			case s.table != table:
			case s.list == "":
				f.add(s)
				f.put("\n")
			case !slices.Contains(lists, s.list):
				lists = append(lists, s.list)
			}
		}
		for _, key := range lists {
			f.put(key + " = [ # a list\n")
			for _, s := range list {
				if s.table == table && s.list == key {
					f.put("  ")
					f.add(s)
					f.put(",\n")
				}
			}
			f.put("]\n")
		}
	}
	for _, s := range list {
		if s.table == whole {
			f.add(s)
		}
	}
	return f
}

// agree compares what is reported with what must be; a text may go on after what a seed wants.
func agree(t *testing.T, f *file) {
	t.Helper()
	got := mistakesOf(t, f.String())
	slices.SortStableFunc(f.want, func(a, b string) int {
		var la, ca, lb, cb int
		fmt.Sscanf(a, "f.toml:%d:%d", &la, &ca)
		fmt.Sscanf(b, "f.toml:%d:%d", &lb, &cb)
		return (la-lb)*1000 + ca - cb
	})
	for i := range max(len(got), len(f.want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing:  %s", f.want[i])
		case i >= len(f.want):
			t.Errorf("too much: %s", got[i])
		case !strings.HasPrefix(got[i].Error(), f.want[i]):
			t.Errorf("reported: %s\n      want: %s", got[i], f.want[i])
		}
	}
	if t.Failed() {
		t.Logf("of:\n%s", f.String())
	}
}

func TestOneMistakeAloneIsReportedAloneAtItsPlace(t *testing.T) {
	for _, s := range seeds() {
		t.Run(s.text, func(t *testing.T) { agree(t, written([]seed{s})) })
	}
}

func TestASocketIsAnAbsolutePathThatFits(t *testing.T) {
	for socket, want := range map[string]string{
		"":                             "is empty: write a path like /run/eximpolicyd/policy.sock",
		"/":                            "/ is a directory: name a file in it",
		"/run/eximpolicyd/":            `"/run/eximpolicyd/" is not plain: write "/run/eximpolicyd"`,
		"/run/../etc/x":                `"/run/../etc/x" is not plain: write "/etc/x"`,
		`/run/a\nb`:                    "has a control character",
		"@abstract":                    `"@abstract" is no absolute path: write one like /run/eximpolicyd/policy.sock`,
		"/" + strings.Repeat("s", 107): "has 108 bytes, and a socket's path may have 107",
	} {
		got := mistakesOf(t, `listen.socket = "`+socket+`"`)
		if got.Error() != "f.toml:1:17: listen.socket: "+want {
			t.Errorf("%q: %v", socket, got)
		}
	}
	longest := "/" + strings.Repeat("s", 106)
	if c := parsed(t, `listen.socket = "`+longest+`"`); c.Listen.Socket != longest {
		t.Error("the longest path is not taken")
	}
}

// A list that is too long is a mistake of its own, whatever else is wrong with it.
func TestFourServersAreEnough(t *testing.T) {
	const four = `dns.servers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"`
	if c := parsed(t, four+"]"); len(c.DNS.Servers) != 4 {
		t.Errorf("%v", c.DNS)
	}
	const long = "f.toml:1:15: dns.servers: has 5 servers: write 4 at most, for there is no time to try more"
	if got := mistakesOf(t, four+`, "192.0.2.5"]`); got.Error() != long {
		t.Errorf("got\n%v", got)
	}
	got := mistakesOf(t, four+`, "192.0.2.5", "192.0.2.5"]`)
	if want := "f.toml:1:15: dns.servers: has 6 servers: write 4 at most, for there is no time to try more\n" +
		"f.toml:1:81: dns.servers: 192.0.2.5:53 is in the list already, line 1 column 68"; got.Error() != want {
		t.Errorf("got\n%v", got)
	}
}

// The key of a paid list is in the file, and whatever is wrong there it is in no mistake, nor is a half of it.
func TestNoMistakeShowsTheKeyOfAList(t *testing.T) {
	const key = "0123456789abcdefghijklmnop"
	zone := key + ".zen.dq.spamhaus.net"
	long := strings.Repeat("x", 60) + "."
	for _, text := range []string{
		`zones = "` + zone + `"`,
		`zones = ` + zone,
		`zones = [` + zone + `]`,
		`zones = ["` + zone + `]`,
		`zones = ["` + zone + `" "b"]`,
		`zones = ["` + zone + `=127.0.0.[2"]`,
		`zones = ["` + zone + `*1.23"]`,
		`zones = ["` + zone + `:127.0.0.2"]`,
		`zones = ["` + zone + `", "` + zone + `"]`,
		`zones = ["` + strings.ToUpper(zone) + ` one.test"]`,
		`zones = ["` + key + `.dbl.dq.spamhaus.net"]`,
		`zones = ["` + key + `"]`,
		`zones = ["https://` + zone + `/"]`,
		`zones = ["` + long + zone + `=127.0.0.[2"]`,
		`zones = "` + long + zone + `"`,
		`zones."` + zone + `" = 5`,
		`zones.` + zone + ` = 5`,
		`"` + zone + `" = 5`,
		`"` + long + zone + `" = 5`,
		zone + ` = 5`,
		zone,
		"zones = [\n\"one.test\",\n" + zone + ` = 5`,
		"[policy." + zone + "]",
		"[policy.rbl.\"" + zone + "\"]\na = 1",
		"[[" + zone + "]]",
		`mode = "` + zone + `"`,
		`rules = {"` + zone + `" = "off"}`,
		"[own]\nnames = [\"" + zone + ".\", \"*." + zone + "\"]\ndomains = \"" + zone + "\"",
		"[dns]\nservers = [\"" + zone + "\"]",
		"[exempt]\nallow = [\"" + zone + "\"]",
		"[listen]\nsocket = \"" + zone + "\"\ngroup = \"" + zone + "\"",
		"[policy.messageid]\nexcept_senders = [\"" + zone + "=127.0.0.2\"]",
		"[policy.helo]\nproviders = [\"" + zone + "=127.0.0.2\"]",
	} {
		got := mistakesOf(t, "[policy.rbl]\n"+text+"\n").Error()
		if strings.Contains(strings.ToLower(got), key[:8]) {
			t.Errorf("%s\nis told as\n%s", text, got)
		}
	}
}

func TestAllMistakesInOneFileAreReportedAtTheirPlaces(t *testing.T) {
	all := seeds()
	if len(all) < 50 {
		t.Fatalf("only %d seeds", len(all))
	}
	agree(t, written(all))
}

// Lines of a manual and one's own come together in one file: it says which of them to move, and which to take out.
func TestWhatIsGivenTwiceIsToldWithWhatToDo(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a table after its keys", "policy.helo.rules.H2 = \"off\"\n[policy.helo.rules]\n", "f.toml:2:14: policy.helo.rules: is given already in line 1: write all of its keys there"},
		{"a table above its keys", "policy.helo.rules.H2 = \"off\"\n[policy.helo]\n", "f.toml:2:9: policy.helo: is given already in line 1: write all of its keys there"},
		{"a key of a table in one line", "policy.helo.rules = {H2 = \"off\"}\npolicy.helo.rules.H3 = \"off\"\n", "f.toml:2:13: policy.helo.rules: is given already in line 1: write all of its keys there"},
		{"a key below a value", "[policy.helo]\nmode = \"off\"\nmode.x = 1\n", "f.toml:3:1: policy.helo.mode: is given already in line 2, as a text: remove one of them"},
		{"a value", "mode = \"off\"\nmode = \"enforce\"\n", "f.toml:2:1: mode: is given already in line 1: remove one of them"},
		{"a value in a table in one line", "policy.helo.rules = {H2 = \"off\", H2 = \"off\"}\n", "f.toml:1:34: policy.helo.rules.H2: is given already in line 1: remove one of them"},
	} {
		if got := mistakesOf(t, tt.text).Error(); got != tt.want {
			t.Errorf("%s: got  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
