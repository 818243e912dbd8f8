package policy

import (
	"strings"
	"testing"
)

func TestNobody(t *testing.T) { runExamples(t, nobodyExamples()) }

func nobodyExamples() []example {
	// submit is sendmail -t of a web script with one remote recipient.
	submit := func(uid uint32, account string) change {
		return func(s *scene) {
			s.q.Stage, s.q.Client, s.q.Server, s.q.HELO = NotSMTP, Request{}.Client, Request{}.Server, Maybe[string]{}
			s.q.UID, s.q.CWD, s.q.Protocol = Known(uid), "/home/site/public_html", "local"
			s.q.Recipient, s.q.RemoteCount, s.q.RemoteFirst = "", Known(1), "a@example.com"
			s.f.Class, s.f.Account, s.f.EximUID = Local, account, Known(uint32(101))
		}
	}
	nobody := submit(65534, "nobody")
	remote := func(n int) change { return func(s *scene) { s.q.RemoteCount = Known(n) } }
	settings := func(n Nobody) change { return func(s *scene) { s.settings["nobody"] = &n } }
	cwd := func(dir string) change { return func(s *scene) { s.q.CWD = dir } }
	smtp := func(v Verify) change { // sendmail -bs
		return func(s *scene) {
			s.q.Stage, s.q.Recipient, s.q.Verify = RCPT, "b@example.com", v
			s.q.RemoteCount, s.q.RemoteFirst = Maybe[int]{}, ""
		}
	}
	users := []string{"nobody"}
	dirs := func(list ...string) change { return settings(Nobody{Users: users, AllowDirs: list}) }
	senders := func(list ...string) change { return settings(Nobody{Users: users, AllowSenders: list}) }
	const want, watch = "deny deny deny", "deny deny deny observe"
	list := []example{
		{"nobody mails the world", "nobody.N1", with(nobody), want, `uid 65534 ("nobody") in "/home/site/public_html" sends to "a@example.com"`},
		{"nobody with one remote recipient of several", "nobody.N1", with(nobody, remote(3)), want, ""},
		{"nobody as the null sender", "nobody.N1", with(nobody, sender("")), want, ""},
		{"nobody by sendmail -bs to a domain that is not ours", "nobody.N1", with(nobody, smtp(VerifyNone)), want, `sends to "b@example.com"`},
		{"a uid from the list, without an account", "nobody.N1", with(submit(4711, ""), settings(Nobody{Users: []string{"4711"}})), want, ""},
		{"a web user who is written out", "nobody.N1", with(submit(33, "www-data"), settings(Nobody{Users: []string{"www-data"}})), want, ""},
		{"another directory than the allowed one", "nobody.N1", with(nobody, dirs("/home/other")), want, ""},
		{"a directory that begins like an allowed one", "nobody.N1", with(nobody, dirs("/home/sit", "/home/site/public")), want, ""},
		{"a directory above the allowed one", "nobody.N1", with(nobody, cwd("/home"), dirs("/home/site")), want, ""},
		{"a path that climbs out of the allowed one", "nobody.N1", with(nobody, cwd("/home/site/../other"), dirs("/home/site")), want, ""},
		{"another sender than the allowed one", "nobody.N1", with(nobody, senders("bob@example.net")), want, ""},
		{"an allowed sender's address behind another letter", "nobody.N1", with(nobody, senders("nna@example.net")), want, ""},
		{"a domain that ends like an allowed one", "nobody.N1", with(nobody, sender("x@badexample.net"), senders("@example.net")), want, ""},
		{"an unknown sender, with exceptions", "nobody.N1", with(nobody, func(s *scene) { s.q.Sender = Maybe[string]{} }, senders("@example.net")), want, ""},
		{"Exim's uid with a sender", "nobody.N1", with(submit(101, "nobody")), want, ""},
		{"Exim's uid with a sender that is not known", "nobody.N1", with(submit(101, "nobody"), func(s *scene) { s.q.Sender = Maybe[string]{} }), want, ""},
		{"uid 0 as null sender, when Exim's uid is not known", "nobody.N1",
			with(submit(0, "nobody"), sender(""), func(s *scene) { s.f.EximUID = Maybe[uint32]{} }), want, ""},
		{"an account that an allowed uid does not have", "nobody.N1", with(nobody, settings(Nobody{Users: users, AllowUsers: []string{"6553"}})), want, ""},
		{"the uid is not known", "nobody.N1", with(nobody, func(s *scene) { s.q.UID = Maybe[uint32]{} }), "unknown", "uid"},
		{"the recipients are not known", "nobody.N1", with(nobody, func(s *scene) { s.q.RemoteCount = Maybe[int]{Value: 1} }), "unknown", "remote"},
		{"by sendmail -bs, Exim's check is not known", "nobody.N1", with(nobody, smtp(VerifyUnasked)), "unknown", "remote"},
		{"a web user who is not written out is only observed", "nobody.N1", with(submit(33, "www-data")), watch, "write www-data into policy.nobody.users"},
		{"apache", "nobody.N1", with(submit(48, "apache")), watch, "write apache"},
		{"httpd", "nobody.N1", with(submit(48, "httpd")), watch, ""},
		{"nginx", "nobody.N1", with(submit(48, "nginx")), watch, ""},
		{"daemon", "nobody.N1", with(submit(1, "daemon")), watch, ""},
		{"nobody, when the list has others only, is an ordinary user", "nobody.N1", with(nobody, settings(Nobody{Users: []string{"apache"}})), "pass", ""},
		{"local recipients only", "nobody.N1", with(nobody, remote(0)), "pass", ""},
		{"by sendmail -bs to a recipient of ours", "nobody.N1", with(nobody, smtp(VerifyOK)), "pass", ""},
		{"by sendmail -bs to a recipient of ours who does not exist", "nobody.N1", with(nobody, smtp(VerifyUnknown)), "pass", ""},
		{"an allowed directory", "nobody.N1", with(nobody, dirs("/srv", "/home/site/public_html")), "pass", ""},
		{"under an allowed directory", "nobody.N1", with(nobody, dirs("/home/site")), "pass", ""},
		{"every directory", "nobody.N1", with(nobody, dirs("/")), "pass", ""},
		{"an allowed sender in upper case", "nobody.N1", with(nobody, sender("ANNA@example.net"), senders("x@example.net", "Anna@Example.NET")), "pass", ""},
		{"an allowed sender's domain", "nobody.N1", with(nobody, senders("@Example.net")), "pass", ""},
		{"an allowed user", "nobody.N1", with(nobody, settings(Nobody{Users: users, AllowUsers: users})), "pass", ""},
		{"an allowed web user is not even observed", "nobody.N1", with(submit(33, "www-data"), settings(Nobody{Users: users, AllowUsers: []string{"www-data"}})), "pass", ""},
		{"an allowed uid", "nobody.N1", with(nobody, settings(Nobody{Users: users, AllowUsers: []string{"65534"}})), "pass", ""},
		{"Exim's own bounce", "nobody.N1", with(submit(101, "nobody"), sender("")), "pass", ""},
		{"an ordinary user", "nobody.N1", with(submit(1000, "anna")), "pass", ""},
		{"an account that is not known, with an empty name in the list", "nobody.N1", with(submit(1000, ""), settings(Nobody{Users: []string{""}})), "unknown", "account of uid 1000"},
	}
	// Over TCP the uid is Exim's, not the sender's.
	for c := Outside; c < classes; c++ {
		if c != Local {
			list = append(list, example{"over TCP from class " + c.String(), "nobody.N1", with(nobody, class(c)), "pass", ""})
		}
	}
	return list
}

func TestSettingsThatCanNotBeMeant(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings Settings
		want     []string // keys, in order
	}{
		{"freezing, which needs a memory", &Nobody{Action: "freeze"}, []string{"action"}},
		{"an action that nobody knows", &Nobody{Action: "Deny"}, []string{"action"}},
		{"no action", &Nobody{}, []string{"action"}},
		{"a relative directory", &Nobody{Action: "deny", AllowDirs: []string{"/srv", "site"}}, []string{"allow_dirs"}},
		{"a directory with a trailing slash", &Nobody{Action: "deny", AllowDirs: []string{"/srv/"}}, []string{"allow_dirs"}},
		{"a sender without @", &Nobody{Action: "deny", AllowSenders: []string{"anna"}}, []string{"allow_senders"}},
		{"a sender without a domain", &Nobody{Action: "deny", AllowSenders: []string{"anna@"}}, []string{"allow_senders"}},
		{"a sender at no domain", &Nobody{Action: "deny", AllowSenders: []string{"anna@b c"}}, []string{"allow_senders"}},
		{"days below zero and over ten years, in one order", &MessageID{DateAhead: -1, DateOld: 3651}, []string{"date_ahead", "date_old"}},
		{"days ahead over ten years", &MessageID{DateAhead: 3651}, []string{"date_ahead"}},
		{"an old date below zero", &MessageID{DateOld: -1}, []string{"date_old"}},
		{"an old date over ten years", &MessageID{DateOld: 3651}, []string{"date_old"}},
		{"an exception that is no domain", &MessageID{ExceptSenders: []string{"example.net", "@example.com"}}, []string{"except_senders"}},
		{"good settings of nobody", &Nobody{Action: "deny", AllowDirs: []string{"/", "/srv"}, AllowSenders: []string{"@example.com", "a@example.com"}}, nil},
		{"good settings of messageid", &MessageID{ExceptSenders: []string{"Example.COM."}, DateAhead: 3650, DateOld: 3650}, nil},
		{"any robot's greeting", &HELO{Robots: []string{"", "x y"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 5 {
				got := c.settings.Check()
				if len(got) != len(c.want) {
					t.Fatalf("got %q, want keys %q", got, c.want)
				}
				for i, m := range got {
					if m.Key != c.want[i] || m.Text == "" {
						t.Errorf("got %q, want key %q", m, c.want[i])
					}
				}
			}
		})
	}
	if m := (&Nobody{Action: "freeze"}).Check(); !strings.Contains(m[0].Text, "memory") {
		t.Errorf("freeze is no action without a reason: %s", m[0].Text)
	}
	for _, p := range Table() {
		if got := p.New().Check(); len(got) > 0 {
			t.Errorf("the defaults of %s: %q", p.Name, got)
		}
	}
}
