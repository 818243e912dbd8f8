package config

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// difference is empty if two configurations are the same.
func difference(got, want *Config) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(extra{}),
		cmp.Comparer(func(a, b *policy.Prefixes) bool { return reflect.DeepEqual(a, b) }),
		cmp.Comparer(func(a, b rbl.Pattern) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }))
}

func same(t testing.TB, got, want *Config) {
	t.Helper()
	if d := difference(got, want); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func parsed(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse("f.toml", []byte(text), withExtra())
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return c
}

func TestTheDefaultTextAndTheEmptyFileSayTheSame(t *testing.T) {
	for _, text := range []string{DefaultText(policy.Table()), "", "# nothing\n", "\n\r\n", "[policy.helo]", "\xef\xbb\xbf"} {
		c, err := Parse("f.toml", []byte(text), policy.Table())
		if err != nil {
			t.Fatal(err)
		}
		same(t, c, Default())
	}
	same(t, parsed(t, DefaultText(withExtra())), defaults(withExtra()))
}

func TestTheExamplesOfTheDefaultTextAreRight(t *testing.T) {
	var b strings.Builder
	for line := range strings.Lines(DefaultText(withExtra())) {
		key, example, found := strings.Cut(line, " = [] # ")
		switch {
		case strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# "):
			line = line[1:]
		case found:
			line = key + " = " + example
		}
		b.WriteString(line)
	}
	c := parsed(t, b.String())
	if want := []string{"Debian-exim"}; !cmp.Equal(c.Listen.Peers, want) {
		t.Errorf("peers %v", c.Listen.Peers)
	}
	if s := c.Policies["helo"]; len(s.Rules) != len(s.Settings.Rules()) || s.GraceUntil.IsZero() {
		t.Errorf("helo %+v", s)
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	var look func(keys []key, path string)
	look = func(keys []key, path string) {
		for _, k := range keys {
			if k.about == "" || strings.HasPrefix(k.about, "a text") || strings.HasPrefix(k.about, "a list of such") ||
				strings.HasPrefix(k.about, "a whole number") || strings.Contains(k.about, "\n") {
				t.Errorf("%s%s is explained as %q", path, k.name, k.about)
			}
			look(k.keys, path+k.name+".")
		}
	}
	look(keysOf(Default(), policy.Table()), "")
}

// A policy that is one line of the table has its keys, its lines in the default file and its mistakes.
func TestANewPolicyBringsItsOwnKeys(t *testing.T) {
	text := DefaultText(withExtra())
	for _, want := range []string{
		"# a policy that nobody has heard of\n[policy.extra]\n", "# a word of its own\nword = \"\"\n", "\ncount = 7\n",
		"\nports = [25]\n", "\nshare = 0.0\n", "\nworst = \"observe\"\n", "\nwait = \"0s\"\n",
		"[policy.extra.rules]\n#X1 = \"observe\" # the first\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the default text has no %q", want)
		}
	}
	c := parsed(t, `[policy.extra]
mode = "enforce"
word = 'w'
flag = true
count = 0x64
small = 255
share = 2
worst = "off"
ports = []
words = ["a", "b"]
modes = ["off", "enforce"]
wait = "1h30m"
ages = [1, -2]
rules.X2 = "off"
`)
	want := defaults(withExtra())
	want.Policies["extra"] = policy.Setup{Mode: policy.Known(policy.Enforce), Rules: map[string]policy.Mode{"X2": policy.Off},
		Settings: &extra{Word: "w", Flag: true, Count: 100, Small: 255, Share: 2, Mode: policy.Off, Words: []string{"a", "b"},
			Modes: []policy.Mode{policy.Off, policy.Enforce}, Wait: 90 * time.Minute, Ages: []policy.Days{1, -2}, hidden: 1, Silent: 2}}
	same(t, c, want)

	got := mistakesOf(t, "[policy.extra]\nflag = true\n\ncount = 101\n")
	if want := "f.toml:1:1: policy.extra.word: must not be empty with flag: write one\n" +
		"f.toml:4:9: policy.extra.count: must be 0 to 100"; got.Error() != want {
		t.Errorf("got\n%v", got)
	}
}

// A value that could not be read leaves the default in place, which its policy may dislike for no fault of the file.
func TestAPolicyDoesNotJudgeWhatCouldNotBeRead(t *testing.T) {
	got := mistakesOf(t, "[policy.extra]\nflag = true\nword = 5\n")
	if want := "f.toml:3:8: policy.extra.word: must be a text in quotes, not a number"; got.Error() != want {
		t.Errorf("got\n%v", got)
	}
}

// A policy may have a setting without a usable default.
func TestAPolicyThatTheFileDoesNotNameChecksItsDefaults(t *testing.T) {
	table := withExtra()
	table[len(table)-1].New = func() policy.Settings { return &extra{Flag: true} }
	for text, want := range map[string]string{
		"":                                "f.toml:1:1: policy.extra.word: must not be empty with flag: write one",
		"\n[policy.extra]\n":              "f.toml:2:1: policy.extra.word: must not be empty with flag: write one",
		"\npolicy.extra.mode = \"off\"\n": "f.toml:2:8: policy.extra.word: must not be empty with flag: write one",
		"[policy]\nextra = {}":            "f.toml:2:9: policy.extra.word: must not be empty with flag: write one",
	} {
		if _, err := Parse("f.toml", []byte(text), table); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestValuesAreTakenInOneForm(t *testing.T) {
	c := parsed(t, `mode = "observe"
[listen]
socket = "/tmp/p.sock"
group = "Debian-exim"
peers = ["mail", 0, "110", "svc$"]
prove = "off"
[own]
names = ["MAIL.Example.COM."]
addresses = ["::ffff:192.0.2.1", "2001:DB8::1"]
domains = ["Example.org", "BÜCHER.example。"]
[exempt]
relay = ["::ffff:198.51.100.0/120", "2001:db8::/32"]
allow = ["::ffff:203.0.113.7"]
submission_ports = [2525]
[dns]
ask = "off"
servers = ["127.0.0.1", "127.0.0.1:5353", "[2001:DB8::1]:53", "::ffff:192.0.2.53"]
[log]
level = "warn"
format = "json"
privacy = "hashed"
[policy.helo]
preset = "strict"
grace_until = 2026-12-01
[policy.messageid]
grace_until = "2026-12-01"
[policy.nobody]
grace_until = 2026-12-01 08:30:00+02:00
`)
	if c.Mode != policy.Observe || c.Log != (Log{slog.LevelWarn, "json", "hashed"}) {
		t.Errorf("%+v", c)
	}
	dns := DNS{Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("127.0.0.1:5353"),
		netip.MustParseAddrPort("[2001:db8::1]:53"), netip.MustParseAddrPort("192.0.2.53:53")}}
	if !reflect.DeepEqual(dns, c.DNS) {
		t.Errorf("%+v", c.DNS)
	}
	listen := Listen{"/tmp/p.sock", "Debian-exim", []string{"mail", "0", "110", "svc$"}, false}
	if d := cmp.Diff(listen, c.Listen); d != "" {
		t.Error(d)
	}
	own := &policy.Own{Names: map[string]bool{"mail.example.com": true},
		Domains:   map[string]bool{"example.org": true, "xn--bcher-kva.example": true},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}
	if !reflect.DeepEqual(own, c.Own) {
		t.Errorf("%+v", c.Own)
	}
	for addr, in := range map[string]bool{"198.51.100.9": true, "2001:db8:1::": true, "198.51.101.0": false} {
		if c.Exempt.Relay.Has(netip.MustParseAddr(addr)) != in {
			t.Errorf("%s in relay: %v", addr, !in)
		}
	}
	if !c.Exempt.Allow.Has(netip.MustParseAddr("203.0.113.7")) || c.Exempt.Deny != nil || len(c.Exempt.SubmissionPorts) != 1 {
		t.Errorf("%+v", c.Exempt)
	}
	midnight := time.Date(2026, 12, 1, 0, 0, 0, 0, time.Local)
	for name, want := range map[string]time.Time{"helo": midnight, "messageid": midnight,
		"nobody": time.Date(2026, 12, 1, 6, 30, 0, 0, time.UTC)} {
		if got := c.Policies[name].GraceUntil; !got.Equal(want) {
			t.Errorf("grace of %s until %v", name, got)
		}
	}
	if c.Policies["helo"].Preset != policy.Strict {
		t.Error("the preset of helo")
	}
}

func TestWhatIsNoConfigurationIsOneClearMistake(t *testing.T) {
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(i*i*7+i*131) | 1
	}
	for name, c := range map[string]struct{ text, want string }{
		"a byte 0":        {"mode = \"off\"\n# \x00\ncolour = 1", "f.toml:2:3: a byte 0: this is no text file"},
		"an ELF header":   {"\x7fELF\x02\x01\x01\x00\x00", "f.toml:1:8: a byte 0: this is no text file"},
		"UTF-16":          {"\xff\xfem\x00o\x00", "f.toml:1:1: this is UTF-16: save the file as UTF-8"},
		"UTF-16, big end": {"\xfe\xff\x00m\x00o", "f.toml:1:1: this is UTF-16: save the file as UTF-8"},
		"random bytes":    {string(random), "f.toml:1:1: this is no text file"},
		"too much":        {strings.Repeat("\n", maxFile+1), "f.toml:1:1: larger than 1 MiB"},
		"brackets":        {"a = " + strings.Repeat("[", 500_000), "f.toml:1:21: a: brackets more than 16 deep"},
		"closed brackets": {"a = " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "f.toml:1:21: a: brackets more than 16 deep"},
		"tables":          {"a = " + strings.Repeat("{a=", 5000) + "1" + strings.Repeat("}", 5000), "f.toml:1:53: a: brackets more than 16 deep"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mistakesOf(t, c.text).Error(); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, data := range map[string]string{"good": "mode = \"off\"", "bad": "mode = 1\nx = 1\n"} {
		if err := os.WriteFile(path(name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(path("sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if err := sparse.Truncate(100 << 20); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none":   ": can't be read: no such file or directory",
		"":       ": is a directory: name the file in it",
		"fifo":   ": is no regular file",
		"sparse": ": larger than 1 MiB",
		"bad":    ":1:8: mode: must be a text in quotes, not a number\n" + path("bad") + ":2:1: x: unknown key",
	} {
		if _, err := Load(path(name)); err == nil || !strings.HasPrefix(err.Error(), path(name)+want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if c, err := Load(path("good")); err != nil || c.Mode != policy.Off {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := Load("/proc/self/mem"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("/proc/self/mem: %v", err)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(path("good"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path("good")); err == nil || !strings.HasSuffix(err.Error(), "can't be read: permission denied") {
			t.Errorf("unreadable: %v", err)
		}
	}
}

// 100 MB cost nothing, and the worst of 1 MiB stays far below the 100 MB that are promised.
func TestMemoryIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, []byte(strings.Repeat("mode = 1\n", 100<<20/9)), 0o600); err != nil {
		t.Fatal(err)
	}
	spent := func(f func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := spent(func() { _, _ = Load(file) }); n > 1<<20 {
		t.Errorf("a file of 100 MB took %d bytes", n)
	}
	for name, text := range map[string]string{
		"keys":    strings.Repeat("x=1\ny=2\n", maxFile/8),
		"numbers": "x = [" + strings.Repeat("1,", maxFile/2-10) + "]",
	} {
		if n := spent(func() { mistakesOf(t, text) }); n > 300<<20 {
			t.Errorf("%s: %d MB in all", name, n>>20)
		}
	}
}
