package policy

import (
	"math"
	"testing"
)

func TestNobody(t *testing.T) {
	for _, list := range [][]example{nobodyExamples(), nobodyOverTCP(), nobodyOnHold()} {
		runExamples(t, list)
	}
}

// eximUID is whom Exim runs as.
const eximUID = 101

// submit is sendmail -t of a web script with one remote recipient.
func submit(uid uint32, account string) change {
	return func(s *scene) {
		s.q.Stage, s.q.Client, s.q.Server, s.q.HELO = NotSMTP, Request{}.Client, Request{}.Server, Maybe[string]{}
		s.q.UID, s.q.CWD, s.q.Protocol = Known(uid), "/home/site/public_html", "local"
		s.q.Recipient, s.q.RemoteCount, s.q.RemoteFirst = "", Known(1), "a@example.com"
		s.f.Class, s.f.Account, s.f.EximUID = Local, account, Known[uint32](eximUID)
	}
}

func nobodyExamples() []example {
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
	return []example{
		{"nobody mails the world", "nobody.N1", with(nobody), want, `uid 65534 ("nobody") in "/home/site/public_html" sends to "a@example.com"`},
		{"nobody with one remote recipient of several", "nobody.N1", with(nobody, remote(3)), want, ""},
		{"nobody as the null sender", "nobody.N1", with(nobody, sender("")), want, ""},
		{"nobody by sendmail -bs to a domain that is not ours", "nobody.N1", with(nobody, smtp(VerifyNone)), want, `sends to "b@example.com"`},
		{"a uid from the list, without an account", "nobody.N1", with(submit(4711, ""), settings(Nobody{Users: []string{"4711"}})), want, ""},
		{"a web user who is written out", "nobody.N1", with(submit(33, "www-data"), settings(Nobody{Users: []string{"www-data"}})), want, ""},
		{"another directory than the allowed one", "nobody.N1", with(nobody, dirs("/home/other")), want, ""},
		{"a directory that begins like an allowed one", "nobody.N1", with(nobody, dirs("/home/sit", "/home/site/public")), want, ""},
		{"a directory above the allowed one", "nobody.N1", with(nobody, cwd("/home"), dirs("/home/site")), want, ""},
		{"a directory that is not known, when every one is allowed", "nobody.N1", with(nobody, cwd(""), dirs("/")), want, ""},
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
}

// nobodyOverTCP are programs that send by SMTP. The uid in the request is Exim's then, and so is the directory; whose the
// other end is, the kernel said.
func nobodyOverTCP() []example {
	const rule, want, watch = "nobody.N1", "deny deny deny", "deny deny deny observe"
	smtp := func(uid uint32, account string) change {
		return func(s *scene) {
			s.q.Stage, s.q.Client, s.q.Server = RCPT, addr("127.0.0.1"), addr("127.0.0.1")
			s.q.UID, s.q.CWD, s.q.Recipient, s.q.Verify = Known[uint32](eximUID), "/", "b@example.com", VerifyNone
			s.f.Class, s.f.Account, s.f.ClientUID, s.f.EximUID = Loopback, account, Known(uid), Known[uint32](eximUID)
		}
	}
	nobody := smtp(65534, "nobody")
	settings := func(n Nobody) change { return func(s *scene) { s.settings["nobody"] = &n } }
	users := []string{"nobody"}
	list := []example{
		{"nobody by SMTP", rule, with(nobody), want, `uid 65534 ("nobody") over SMTP from this machine sends to "b@example.com"`},
		{"nobody by SMTP to an address of this machine", rule, with(nobody, client("192.0.2.1"), server("192.0.2.1")), want, ""},
		{"a bounce that nobody makes by SMTP is not Exim's", rule, with(nobody, sender("")), want, ""},
		{"nobody by SMTP, whose directory is Exim's", rule, with(nobody, settings(Nobody{Users: users, AllowDirs: []string{"/"}})), want, ""},
		{"a web user by SMTP who is written out", rule, with(smtp(33, "www-data"), settings(Nobody{Users: []string{"www-data"}})), want, ""},
		{"a web user by SMTP who is not written out", rule, with(smtp(33, "www-data")), watch, "write www-data into policy.nobody.users"},
		{"whose the other end is, is not known", rule, with(nobody, func(s *scene) { s.f.ClientUID = Maybe[uint32]{} }), "unknown", "uid of the sender"},
		{"nobody as Exim's uid, and whose the other end is, is not known", rule,
			with(nobody, func(s *scene) { s.f.ClientUID, s.q.UID = Maybe[uint32]{}, Known[uint32](65534) }), "unknown", "uid"},
		{"Exim's check by SMTP is not known", rule, with(nobody, verify(VerifyUnasked)), "unknown", "remote"},
		{"nobody by SMTP, logged in", rule, with(nobody, func(s *scene) { s.q.AuthBy = "plain" }), "pass", ""},
		{"nobody by SMTP to a recipient of ours", rule, with(nobody, verify(VerifyOK)), "pass", ""},
		{"nobody by SMTP as an allowed sender", rule, with(nobody, settings(Nobody{Users: users, AllowSenders: []string{"@example.net"}})), "pass", ""},
		{"Exim's own bounce by SMTP", rule, with(smtp(eximUID, "nobody"), sender("")), "pass", ""},
		{"an ordinary user by SMTP", rule, with(smtp(1000, "anna")), "pass", ""},
	}
	for c := Outside; c < classes; c++ {
		if c != Local && c != Loopback {
			list = append(list, example{"by SMTP from class " + c.String() + ", " + c.Test(), rule, with(nobody, class(c)), "pass", ""})
		}
	}
	return list
}

// nobodyOnHold are messages that are kept in the queue instead, as long as there is room.
func nobodyOnHold() []example {
	const rule, freeze, deny = "nobody.N1", "freeze freeze freeze", "deny deny deny"
	nobody := submit(65534, "nobody")
	action := func(a string) change {
		return func(s *scene) { s.settings["nobody"] = &Nobody{Users: []string{"nobody"}, Action: a} }
	}
	held := func(n int) change { return func(s *scene) { s.f.Held = Known(n) } }
	return []example{
		{"the twenty-first message on hold", rule, with(nobody, action("freeze"), held(21)), deny, "not put on hold: 20 messages"},
		{"the twentieth message on hold", rule, with(nobody, action("freeze"), held(20)), freeze, "sends to"},
		{"the first message on hold", rule, with(nobody, action("freeze"), held(1)), freeze, ""},
		{"how many are on hold is not known", rule, with(nobody, action("freeze")), freeze, ""},
		{"a web user who is not written out", rule, with(submit(33, "www-data"), action("freeze"), held(20)), freeze + " observe", "only observed"},
		{"a web user who is not written out, over the limit", rule, with(submit(33, "www-data"), action("freeze"), held(21)), deny + " observe", "only observed"},
		{"nobody wants mail on hold", rule, with(nobody, action("deny"), held(1)), deny, ""},
		{"an ordinary user", rule, with(submit(1000, "anna"), action("freeze"), held(1)), "pass", ""},
	}
}

// How many messages are on hold is counted by asking, so only a message that is about to be is asked for.
func TestOnlyAMessageThatGoesOnHoldIsCounted(t *testing.T) {
	for _, e := range allExamples() {
		s := build(e.given)
		v, answers := s.judge(t, e.rule)
		want := Need(0)
		if answers[Lenient].Action == Freeze && v.Hit && !s.f.Held.Known {
			want = NeedHold
		}
		if v.Wants&NeedHold != want {
			t.Errorf("%s, %s: wants %b", e.rule, e.name, v.Wants)
		}
	}
}

// dictionarySettings changes the defaults.
func dictionarySettings(set func(*Dictionary)) *Dictionary {
	d := dictionaryPolicy().New().(*Dictionary)
	set(d)
	return d
}

func TestSettingsThatCanNotBeMeant(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings Settings
		want     []string // keys, in order
	}{
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
		{"limits below their least", &Dictionary{Ratio: 0.5, SpreadRatio: 0.5, DelayAfter: -1},
			[]string{"hard", "window", "connections", "spread", "delay_after", "max_connections"}},
		{"limits above their most", &Dictionary{Hard: 1001, Window: 1001, Connections: 1001, Spread: 3001, Ratio: 1.01, SpreadRatio: 1.01, DelayAfter: 1001, MaxConnections: 1000001},
			[]string{"hard", "window", "connections", "spread", "delay_after", "max_connections", "ratio", "spread_ratio"}},
		{"ratios of nothing", dictionarySettings(func(d *Dictionary) { d.Ratio, d.SpreadRatio = 0, -0.5 }), []string{"ratio", "spread_ratio"}},
		{"ratios that are no numbers", dictionarySettings(func(d *Dictionary) { d.Ratio, d.SpreadRatio = math.NaN(), math.Inf(1) }), []string{"ratio", "spread_ratio"}},
		{"traps that are no addresses", dictionarySettings(func(d *Dictionary) {
			d.Traps = []string{"trap", "@example.org", "trap@", "trap@b c", "", "trap@example.org"}
		}),
			[]string{"traps", "traps", "traps", "traps", "traps"}},
		{"traps that everybody must be able to write to", dictionarySettings(func(d *Dictionary) { d.Traps = []string{"Postmaster@example.org", "abuse@example.org"} }),
			[]string{"traps", "traps"}},
		{"no failed login", &Logins{}, []string{"failures"}},
		{"too many failed logins", &Logins{Failures: 1001}, []string{"failures"}},
		{"the least of everything", &Dictionary{Hard: 1, Window: 1, Connections: 1, Spread: 1, Ratio: 0.01, SpreadRatio: 0.01, MaxConnections: 1}, nil},
		{"the most of everything", &Dictionary{Hard: 1000, Window: 1000, Connections: 1000, Spread: 3000, Ratio: 1, SpreadRatio: 1,
			Traps: []string{`"a@b"@example.org`}, DelayAfter: 1000, MaxConnections: 1000000}, nil},
		{"the least number of failed logins", &Logins{Failures: 1}, nil},
		{"the highest number of failed logins", &Logins{Failures: 1000}, nil},
		{"good settings of nobody", &Nobody{Action: "deny", AllowDirs: []string{"/", "/srv"}, AllowSenders: []string{"@example.com", "a@example.com"}}, nil},
		{"putting mail on hold", &Nobody{Action: "freeze"}, nil},
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
	for _, p := range Table() {
		if got := p.New().Check(); len(got) > 0 {
			t.Errorf("the defaults of %s: %q", p.Name, got)
		}
	}
}
