package policy

import (
	"testing"
	"time"
)

func TestLogins(t *testing.T) { runExamples(t, authExamples()) }

func authExamples() []example {
	const rule, ban = "auth.AU1", "none none none ban"
	// failed is the end of a connection with a login that failed.
	failed := func(n int) change {
		return func(s *scene) { s.q.Stage, s.f.Here.Failed, s.f.Client.Failed = Quit, 1, n }
	}
	of := func(prefix string, factor, failed, seen int) Network {
		n := network(prefix, factor, 0, 0, seen)
		n.Failed = failed
		return n
	}
	of24 := func(failed, seen int) change { return wide(of("203.0.113.0/24", 3, failed, seen)) }
	of48 := func(failed, seen int) change {
		return wide(of("2001:db8:1::/56", 3, 29, 5), of("2001:db8:1::/48", 9, failed, seen))
	}
	netLogin := func(s *scene) { s.f.Networks[0].LastLogin = now.Add(-time.Hour) }
	limit := func(s *scene) { s.settings["auth"] = &Logins{Failures: 2} }
	return []example{
		{"ten failed logins", rule, with(failed(10)), ban, "10 failed logins within an hour"},
		{"ten failed logins, and the line broke", rule, with(failed(10), stage(NotQuit)), ban, ""},
		{"two failed logins, where two are the limit", rule, with(failed(2), limit), ban, ""},
		{"ten failed logins on a submission port", rule, with(failed(10), class(Submission)), ban, ""},
		{"ten failed logins and a bounce", rule, with(failed(10), sender("")), ban, ""},
		{"thirty failed logins from a /24", rule, with(failed(1), of24(30, 5)), ban + " 203.0.113.0/24", "30 failed logins within an hour from 203.0.113.0/24"},
		{"six failed logins from a /24, where two of a client are the limit", rule, with(failed(1), limit, of24(6, 5)), ban + " 203.0.113.0/24", ""},
		{"ninety failed logins from a /48", rule, with(failed(1), of48(90, 5)), ban + " 2001:db8:1::/48", "90 failed logins within an hour from 2001:db8:1::/48"},
		{"a client and its /24", rule, with(failed(10), of24(30, 5)), ban + " ban 203.0.113.0/24", "10 failed logins within an hour"},
		{"a hundred failed logins of a known client", rule, with(failed(100), known), ban, ""},
		{"a hundred failed logins of a client with clean mail", rule, with(failed(100), cleanMail(5)), ban, ""},
		{"ten failed logins of a known client half of whose day is bad", rule, with(failed(10), known, day(10, 10)), ban, ""},
		{"ten failed logins after a login a day ago", rule, with(failed(10), login(24*time.Hour)), ban, ""},
		{"ten failed logins from a known /24", rule, with(failed(10), of24(10, 5), netLogin), ban, ""},
		{"thirty failed logins from the /24 of a known client", rule, with(failed(1), known, of24(30, 5)), ban + " 203.0.113.0/24", ""},
		{"300 failed logins from a known /24", rule, with(failed(1), of24(300, 5), netLogin), ban + " 203.0.113.0/24", ""},
		{"ten failed logins of the only way in are told of", rule, with(failed(10), of24(30, 5), onlyWayIn), "none none none observe", "only told of: over half"},
		{"nothing is known of the client", rule, with(failed(10), forgotten), "unknown", "not known"},
		{"nine failed logins", rule, with(failed(9)), "pass", "9 failed logins"},
		{"one failed login, where two are the limit", rule, with(failed(1), limit), "pass", ""},
		{"twenty-nine failed logins from a /24", rule, with(failed(1), of24(29, 5)), "pass", "1 failed login within"},
		{"thirty failed logins of four members of a /24", rule, with(failed(1), of24(30, 4)), "pass", ""},
		{"eighty-nine failed logins from a /48", rule, with(failed(1), of48(89, 5)), "pass", ""},
		{"ninety failed logins of four members of a /48", rule, with(failed(1), of48(90, 4)), "pass", ""},
		{"ninety-nine failed logins of a known client", rule, with(failed(99), known), "pass", ""},
		{"ninety-nine failed logins of a client with clean mail", rule, with(failed(99), cleanMail(5)), "pass", ""},
		{"299 failed logins from a known /24", rule, with(failed(1), of24(299, 5), netLogin), "pass", ""},
		{"no login failed in this connection", rule, with(failed(10), of24(30, 5), func(s *scene) { s.f.Here.Failed = 0 }), "pass", ""},
		{"guesses of recipients are no logins", rule, with(failed(1), hour(500, 0), onlyBad(50), here(50, 0)), "pass", ""},
		{"an ordinary end", rule, with(stage(Quit)), "pass", ""},
	}
}
