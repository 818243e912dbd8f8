package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrigin(t *testing.T) { runExamples(t, originExamples()) }

// script is what submit's caller ran.
var script = Program{Name: "/usr/bin/php8.2", Args: "php -f send.php"}

// overTCP is a message that comes from this machine by SMTP, at DATA: the uid and the directory of the request are Exim's own.
func overTCP(uid uint32, account string) change {
	return func(s *scene) {
		s.q.Stage, s.q.Client, s.q.Server = Data, addr("127.0.0.1"), addr("127.0.0.1")
		s.q.UID, s.q.CWD = Known[uint32](eximUID), "/var/spool/exim4"
		s.f.Class, s.f.Account, s.f.ClientUID, s.f.EximUID = Loopback, account, Known(uid), Known[uint32](eximUID)
	}
}

// logsIn is somebody who has authenticated.
func logsIn(as string) change { return func(s *scene) { s.q.AuthBy, s.q.AuthAs = "plain", as } }

func originExamples() []example {
	const rule = "origin.N5"
	nobody := submit(65534, "nobody")
	ran := func(s *scene) { s.f.Program = script }
	remote := func(s *scene) { s.q.Stage, s.f.Class, s.f.Account = Data, Auth, "" }
	return []example{
		{"sendmail -t of a web script", rule, with(nobody, ran), "tells",
			`by sendmail of "nobody", uid 65534, in "/home/site/public_html", from "/usr/bin/php8.2" as "php -f send.php"`},
		{"sendmail of a script of which no process is known", rule, with(nobody), "tells", `by sendmail of "nobody", uid 65534, in "/home/site/public_html"`},
		{"sendmail -bs, at DATA", rule, with(nobody, stage(Data)), "tells", `by sendmail of "nobody"`},
		{"a uid without an account", rule, with(submit(4711, "")), "tells", `of "4711", uid 4711`},
		{"the name of the login that Exim gives a local caller proves nothing", rule, with(nobody, func(s *scene) { s.q.AuthAs = "root" }), "tells", `of "nobody", uid 65534`},
		{"Exim's own bounce", rule, with(submit(eximUID, "Debian-exim"), sender("")), "tells", `of "Debian-exim", uid 101`},
		{"a directory with a line end in its name", rule, with(nobody, func(s *scene) { s.q.CWD = "/x\nuid=0" }), "tells", `in "/x?uid=0"`},
		{"SMTP from this machine is the owner's of the other end, and the directory is Exim's", rule, with(overTCP(65534, "nobody"), ran), "tells", `by smtp of "nobody", uid 65534`},
		{"SMTP from this machine with a login", rule, with(overTCP(33, "www-data"), logsIn("anna@example.com")), "tells", `by login, uid 33`},
		{"SMTP from this machine with a login that has no name", rule, with(overTCP(33, "www-data"), logsIn("")), "tells", `by login, uid 33`},
		{"a login from elsewhere", rule, with(remote, logsIn("anna@example.com")), "tells", `by login`},
		{"the uid of a local caller is not known", rule, with(nobody, func(s *scene) { s.q.UID, s.f.Account = Maybe[uint32]{}, "" }), "unknown",
			`who sent it is not known: by sendmail, in "/home/site/public_html"`},
		{"SMTP from this machine, whose the other end is, is not known", rule, with(overTCP(0, ""), func(s *scene) { s.f.ClientUID = Maybe[uint32]{} }), "unknown", "by smtp"},
		{"a login without a name from elsewhere", rule, with(remote, logsIn("")), "unknown", "by login"},
		{"mail from elsewhere is not ours to speak of", rule, with(stage(Data)), "pass", ""},
		{"mail of a relay", rule, with(stage(Data), class(RelayHost)), "pass", ""},
		{"mail of a private network", rule, with(stage(Data), class(PrivateNet)), "pass", ""},
	}
}

// What a verdict says is what the log and the fields are made of.
func TestWhatIsToldOfTheOriginOfAMessage(t *testing.T) {
	tell := func(settings Origin, changes ...change) *Source {
		s := build(with(changes...))
		s.settings["origin"] = &settings
		v, _ := s.judge(t, "origin.N5")
		return v.Source
	}
	ran := func(p Program) change { return func(s *scene) { s.f.Program = p } }
	want := &Source{How: Sendmail, Account: "nobody", UID: Known[uint32](65534), Dir: "/home/site/public_html", Program: script, Header: true}
	if diff := cmp.Diff(want, tell(Origin{Header: true}, submit(65534, "nobody"), ran(script))); diff != "" {
		t.Error(diff)
	}
	// A filter behind a transport of Exim gives back what came from anywhere.
	all := Origin{Header: true, XSource: true, XSourceDir: true, XSourceArgs: true}
	for name, c := range map[string]struct {
		changes []change
		marked  bool
	}{
		"by sendmail":                {[]change{submit(eximUID, "Debian-exim"), ran(script)}, false},
		"by SMTP":                    {[]change{overTCP(eximUID, "Debian-exim")}, false},
		"somebody's bounce, by SMTP": {[]change{overTCP(eximUID, "Debian-exim"), sender("")}, false},
		"a bounce that Exim made":    {[]change{submit(eximUID, "Debian-exim"), sender("")}, true},
		"with a login":               {[]change{overTCP(eximUID, "Debian-exim"), logsIn("anna@example.com")}, true},
	} {
		if got := tell(all, c.changes...); got.Account == "" || got.Header != c.marked || got.Shown != "" && !c.marked {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for account, changes := range map[string][]change{
		"anna@example.com": {overTCP(33, "www-data"), logsIn("anna@example.com")},
		"www-data":         {overTCP(33, "www-data"), logsIn("")},
		"4711":             {overTCP(4711, "")},
	} {
		if got := tell(Origin{}, changes...); got.Account != account || got.Dir != "" || got.Program != (Program{}) {
			t.Errorf("%s: %+v", account, got)
		}
	}
	all = Origin{XSource: true, XSourceDir: true, XSourceArgs: true}
	for _, c := range []struct {
		name     string
		settings Origin
		changes  []change
		shown    string
	}{
		{"a line end and a quote in what a program calls itself", all,
			[]change{submit(65534, "nobody"), ran(Program{Name: "/x\nBcc: victim@example.com", Args: "a \"b\"\r\n\tc \xff"})},
			"X-Source: /x?Bcc: victim@example.com\nX-Source-Args: a ?b????c ?\nX-Source-Dir: /home/site/public_html"},
		{"more than anybody reads", all,
			[]change{submit(65534, "nobody"), ran(Program{Name: strings.Repeat("n", 5000), Args: strings.Repeat("a", 5000)}), func(s *scene) { s.q.CWD = strings.Repeat("d", 5000) }},
			"X-Source: " + strings.Repeat("n", 255) + "...\nX-Source-Args: " + strings.Repeat("a", 500) + "...\nX-Source-Dir: " + strings.Repeat("d", 255) + "..."},
		{"nothing but line ends", all, []change{submit(65534, "nobody"), ran(Program{Name: " ", Args: "  "}), func(s *scene) { s.q.CWD = "" }}, ""},
		{"the directory over SMTP is Exim's", all, []change{overTCP(65534, "nobody")}, ""},
		{"only the program", Origin{XSource: true}, []change{submit(65534, "nobody"), ran(script)}, "X-Source: /usr/bin/php8.2"},
		{"only the arguments", Origin{XSourceArgs: true}, []change{submit(65534, "nobody"), ran(script)}, "X-Source-Args: php -f send.php"},
		{"only the directory", Origin{XSourceDir: true}, []change{submit(65534, "nobody"), ran(script)}, "X-Source-Dir: /home/site/public_html"},
		{"as it comes", Origin{Header: true}, []change{submit(65534, "nobody"), ran(script)}, ""},
	} {
		if got := tell(c.settings, c.changes...); got.Shown != c.shown || got.Header != c.settings.Header {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for s, shows := range map[Origin]bool{{}: false, {Header: true}: false, {XSource: true}: true, {XSourceDir: true}: true, {XSourceArgs: true}: true} {
		if s.Shows() != shows {
			t.Errorf("%+v shows: %v", s, !shows)
		}
	}
}
