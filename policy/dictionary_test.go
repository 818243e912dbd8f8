package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/rbl"
)

func TestDictionary(t *testing.T) {
	for _, list := range [][]example{dictionaryHard(), dictionaryWindow(), dictionarySpread(), dictionaryTrap(), dictionaryDelay(), shields()} {
		runExamples(t, list)
	}
}

// guess is a recipient of ours that Exim refused for good.
func guess(s *scene) { s.q.Stage, s.q.Verify, s.q.Recipient = RCPT, VerifyUnknown, "info1@example.org" }

// good is a recipient of ours that exists.
func good(s *scene) { s.q.Stage, s.q.Verify = RCPT, VerifyOK }

func verify(v Verify) change { return func(s *scene) { s.q.Verify = v } }
func noSender(s *scene)      { s.q.Sender = Maybe[string]{} }
func forgotten(s *scene) {
	s.f.Memory, s.f.Here, s.f.Client, s.f.Networks = false, Here{}, Tried{}, nil
}
func here(bad, good int) change { return func(s *scene) { s.f.Here.Bad, s.f.Here.Good = bad, good } }
func offended(s *scene)         { s.f.Here.Offended = true }
func hour(bad, good int) change {
	return func(s *scene) { s.f.Client.Bad, s.f.Client.Good = bad, good }
}
func day(bad, good int) change {
	return func(s *scene) { s.f.Client.DayBad, s.f.Client.DayGood = bad, good }
}
func onlyBad(n int) change         { return func(s *scene) { s.f.Client.OnlyBad = n } }
func login(d time.Duration) change { return func(s *scene) { s.f.Client.LastLogin = now.Add(-d) } }
func cleanMail(n int) change       { return func(s *scene) { s.f.Client.Clean = n } }
func named(name string) change     { return func(s *scene) { s.f.ClientName = name } }
func onlyWayIn(s *scene)           { s.f.OnlyWayIn = true }
func listed(list ...rbl.Answer) change {
	return func(s *scene) { s.f.Lists = rbl.Report{Subject: "203.0.113.7", Answers: list} }
}
func dictionary(set func(*Dictionary)) change {
	return func(s *scene) { set(s.settings["dictionary"].(*Dictionary)) }
}

// The clients of whom something good is known, each by one fact.
var (
	private  = class(PrivateNet)
	bigRelay = named("mail-1.google.com")
	known    = login(time.Hour)

	goodSender = listed(clear("one.test"), listedBy("good.test*-1", at2))
)

// dictionaryHard are guesses in one connection.
func dictionaryHard() []example {
	const rule = "dictionary.hard"
	const drop = "drop 550 5.7.1 drop 550 5.7.1 drop 550 5.7.1"
	limit := dictionary(func(d *Dictionary) { d.Hard = 2 })
	ratio := func(r float64) change { return dictionary(func(d *Dictionary) { d.Ratio = r }) }
	return []example{
		{"five guesses", rule, with(guess, here(5, 0)), drop + " offence", "5 unknown and 0 good recipients in this connection"},
		{"six guesses", rule, with(guess, here(6, 0)), drop + " offence", ""},
		{"as many good as bad", rule, with(guess, here(5, 5)), drop + " offence", ""},
		{"two guesses, where two are the limit", rule, with(guess, limit, here(2, 0)), drop + " offence", ""},
		{"all bad, where all must be", rule, with(guess, ratio(1), here(5, 0)), drop + " offence", ""},
		{"a tenth bad, where that is the limit", rule, with(guess, ratio(0.1), here(5, 45)), drop + " offence", ""},
		{"a guess on a submission port", rule, with(guess, class(Submission), here(5, 0)), drop + " offence", ""},
		{"a guess at postmaster", rule, with(guess, class(Postmaster), here(5, 0)), drop + " offence", ""},
		{"fifty guesses of a known client", rule, with(guess, known, here(50, 0)), drop + " offence", "ten times as much as others may: a login"},
		{"fifty guesses of a good sender", rule, with(guess, goodSender, here(50, 0)), drop + " offence", "ten times as much as others may: on a list"},
		{"fifty guesses of a big relay are deferred", rule, with(guess, bigRelay, here(50, 0)), "defer defer defer", "only deferred: a big relay"},
		{"five guesses behind a private address are deferred", rule, with(guess, private, here(5, 0)), "defer defer defer", "only deferred: behind a private"},
		{"five guesses of the only way in are told of", rule, with(guess, onlyWayIn, here(5, 0)), drop + " observe", "only told of: over half"},
		{"nothing is known of the client", rule, with(guess, forgotten), "unknown", "not known"},
		{"four guesses", rule, with(guess, here(4, 0)), "pass", "4 unknown and 0 good"},
		{"more good than bad", rule, with(guess, here(5, 6)), "pass", "5 unknown and 6 good"},
		{"one guess, where two are the limit", rule, with(guess, limit, here(1, 0)), "pass", ""},
		{"one good one, where all must be bad", rule, with(guess, ratio(1), here(500, 1)), "pass", ""},
		{"a little less than a tenth, where that is the limit", rule, with(guess, ratio(0.1), here(5, 46)), "pass", ""},
		{"forty-nine guesses of a known client", rule, with(guess, known, here(49, 0)), "pass", ""},
		{"forty-nine guesses of a good sender", rule, with(guess, goodSender, here(49, 0)), "pass", ""},
		{"forty-nine guesses of a big relay", rule, with(guess, bigRelay, here(49, 0)), "pass", ""},
		{"four guesses behind a private address", rule, with(guess, private, here(4, 0)), "pass", ""},
		{"four guesses of the only way in", rule, with(guess, onlyWayIn, here(4, 0)), "pass", ""},
		{"what the client did in other connections", rule, with(guess, here(1, 0), hour(500, 0), onlyBad(50)), "pass", ""},
		{"a mailing list with dead addresses", rule, with(guess, here(6, 200)), "pass", ""},
		{"bounces to nobody", rule, with(guess, sender(""), here(5, 0)), "pass", ""},
		{"a sender that is not known", rule, with(guess, noSender, here(5, 0)), "pass", ""},
		{"a good recipient after five guesses", rule, with(good, here(5, 0)), "pass", ""},
		{"a recipient elsewhere after five guesses", rule, with(guess, verify(VerifyNone), here(5, 0)), "pass", ""},
		{"Exim did not say", rule, with(guess, verify(VerifyUnasked), here(5, 0)), "pass", ""},
		{"at DATA", rule, with(guess, stage(Data), here(5, 0)), "pass", ""},
	}
}

// dictionaryWindow are guesses of one client in an hour.
func dictionaryWindow() []example {
	const rule, ban = "dictionary.window", "defer defer defer ban"
	limits := dictionary(func(d *Dictionary) { d.Window, d.Connections = 3, 2 })
	return []example{
		{"twenty guesses", rule, with(guess, hour(20, 0)), ban, "20 unknown and 0 good recipients within an hour"},
		{"as many good as bad", rule, with(guess, hour(20, 20)), ban, ""},
		{"three guesses, where three are the limit", rule, with(guess, limits, hour(3, 0)), ban, ""},
		{"five connections with guesses alone", rule, with(guess, hour(5, 0), onlyBad(5)), ban, "5 connections within an hour that did nothing but bad, and 0 good"},
		{"one connection, where one is the limit, and one good recipient", rule, with(guess, dictionary(func(d *Dictionary) { d.Connections = 1 }), hour(1, 1), onlyBad(1)), ban,
			"1 connection within an hour that did nothing but bad, and 1 good recipient"},
		{"twenty guesses in five connections", rule, with(guess, hour(20, 0), onlyBad(5)), ban, "20 unknown"},
		{"as many connections with guesses alone as good recipients", rule, with(guess, hour(5, 5), onlyBad(5)), ban, ""},
		{"two connections, where two are the limit", rule, with(guess, limits, hour(2, 0), onlyBad(2)), ban, ""},
		{"five connections of a robot, to a good recipient", rule, with(good, offended, onlyBad(5)), ban, "5 connections"},
		{"five connections of a robot, to a recipient elsewhere", rule, with(good, verify(VerifyNone), offended, onlyBad(5)), ban, ""},
		{"a robot after twenty guesses", rule, with(good, offended, hour(20, 0)), ban, "20 unknown"},
		{"200 guesses of a known client", rule, with(guess, known, hour(200, 0)), ban, "ten times as much as others may: a login"},
		{"fifty connections of a known client", rule, with(guess, known, onlyBad(50)), ban, "ten times"},
		{"200 guesses of a big relay are deferred", rule, with(guess, bigRelay, hour(200, 0)), "defer defer defer", "only deferred: a big relay"},
		{"fifty connections of a big relay are deferred", rule, with(guess, bigRelay, onlyBad(50)), "defer defer defer", ""},
		{"twenty guesses behind a private address are deferred", rule, with(guess, private, hour(20, 0)), "defer defer defer", "only deferred: behind a private"},
		{"twenty guesses of the only way in are told of", rule, with(guess, onlyWayIn, hour(20, 0)), "defer defer defer observe", "only told of: over half"},
		{"nothing is known of the client", rule, with(guess, forgotten), "unknown", "not known"},
		{"nothing is known of a robot", rule, with(good, forgotten, offended), "unknown", "not known"},
		{"nineteen guesses", rule, with(guess, hour(19, 0)), "pass", "19 unknown and 0 good"},
		{"more good than bad", rule, with(guess, hour(20, 21)), "pass", "20 unknown and 21 good"},
		{"two guesses, where three are the limit", rule, with(guess, limits, hour(2, 0), onlyBad(1)), "pass", ""},
		{"four connections with guesses alone", rule, with(guess, hour(4, 0), onlyBad(4)), "pass", ""},
		{"less connections with guesses alone than good recipients", rule, with(guess, hour(5, 6), onlyBad(5)), "pass", ""},
		{"four connections of a robot", rule, with(good, offended, onlyBad(4)), "pass", ""},
		{"199 guesses of a known client", rule, with(guess, known, hour(199, 0), onlyBad(49)), "pass", ""},
		{"199 guesses of a big relay", rule, with(guess, bigRelay, hour(199, 0), onlyBad(49)), "pass", ""},
		{"nineteen guesses behind a private address", rule, with(guess, private, hour(19, 0), onlyBad(4)), "pass", ""},
		{"nineteen guesses of the only way in", rule, with(guess, onlyWayIn, hour(19, 0), onlyBad(4)), "pass", ""},
		{"a mailing list with dead addresses", rule, with(guess, here(6, 200), hour(6, 200), day(6, 200)), "pass", ""},
		{"a mailing list with a connection for each address", rule, with(guess, here(1, 0), hour(6, 200), onlyBad(6)), "pass", ""},
		{"a mailing list of thousands", rule, with(guess, hour(600, 20000), onlyBad(600)), "pass", ""},
		{"bounces to nobody", rule, with(guess, sender(""), hour(20, 0), onlyBad(5)), "pass", ""},
		{"a robot's bounces", rule, with(good, sender(""), offended, hour(20, 0), onlyBad(5)), "pass", ""},
		{"a sender that is not known", rule, with(guess, noSender, hour(20, 0)), "pass", ""},
		{"a good recipient after twenty guesses", rule, with(good, hour(20, 0), onlyBad(5)), "pass", ""},
		{"a robot at DATA", rule, with(stage(Data), offended, hour(20, 0), onlyBad(5)), "pass", ""},
		{"a guess at DATA", rule, with(guess, stage(Data), hour(20, 0), onlyBad(5)), "pass", ""},
	}
}

// wide puts the client into networks.
func wide(list ...Network) change { return func(s *scene) { s.f.Networks = list } }

func network(prefix string, factor, bad, good, seen int) Network {
	return Network{Prefix: netip.MustParsePrefix(prefix), Factor: factor, Tried: Tried{Bad: bad, Good: good, Seen: seen}}
}

// dictionarySpread are guesses of one network in an hour.
func dictionarySpread() []example {
	const rule, deferral = "dictionary.spread", "defer defer defer"
	of24 := func(bad, good, seen int) change { return wide(network("203.0.113.0/24", 3, bad, good, seen)) }
	of48 := func(bad, good, seen int) Network { return network("2001:db8:1::/48", 9, bad, good, seen) }
	of56 := func(bad, good, seen int) Network { return network("2001:db8:1::/56", 3, bad, good, seen) }
	trusted := func(give func(*Tried)) change { return func(s *scene) { give(&s.f.Networks[0].Tried) } }
	netLogin := trusted(func(n *Tried) { n.LastLogin = now.Add(-time.Hour) })
	netClean := trusted(func(n *Tried) { n.Clean = 5 })
	netBad := trusted(func(n *Tried) { n.DayBad, n.DayGood = 60, 60 })
	const ban24 = deferral + " ban 203.0.113.0/24"
	return []example{
		{"sixty guesses from a /24", rule, with(guess, of24(60, 0, 5)), ban24, "60 unknown and 0 good recipients within an hour from 203.0.113.0/24"},
		{"four of five bad", rule, with(guess, of24(60, 15, 5)), ban24, ""},
		{"half of them bad, where that is the limit", rule, with(guess, dictionary(func(d *Dictionary) { d.SpreadRatio = 0.5 }), of24(60, 60, 5)), ban24, ""},
		{"thirty guesses, where thirty are the limit", rule, with(guess, dictionary(func(d *Dictionary) { d.Spread = 30 }), of24(30, 0, 5)), ban24, ""},
		{"sixty guesses from a /56", rule, with(guess, wide(of56(60, 0, 5), of48(60, 0, 5))), deferral + " ban 2001:db8:1::/56", "from 2001:db8:1::/56"},
		{"180 guesses from a /48", rule, with(guess, wide(of56(10, 0, 5), of48(180, 0, 5))), deferral + " ban 2001:db8:1::/48", "180 unknown and 0 good recipients within an hour from 2001:db8:1::/48"},
		{"180 guesses from a /48, four of five bad", rule, with(guess, wide(of56(10, 0, 5), of48(180, 45, 5))), deferral + " ban 2001:db8:1::/48", ""},
		{"180 guesses from a /56 and its /48", rule, with(guess, wide(of56(180, 0, 5), of48(180, 0, 5))),
			deferral + " ban 2001:db8:1::/56 ban 2001:db8:1::/48", "from 2001:db8:1::/56"},
		{"600 guesses from the /24 of a known client", rule, with(guess, known, of24(600, 0, 5)), ban24, "ten times"},
		{"600 guesses from a known /24", rule, with(guess, of24(600, 0, 5), netLogin), ban24, ""},
		{"600 guesses from a /24 with clean mail", rule, with(guess, of24(600, 0, 5), netClean), ban24, ""},
		{"600 guesses from a known /24 of a known client", rule, with(guess, known, of24(600, 0, 5), netLogin), ban24, ""},
		{"sixty guesses from a known /24 half of whose day is bad", rule, with(guess, of24(60, 0, 5), netLogin, netBad), ban24, ""},
		{"600 guesses from the /24 of a big relay are deferred", rule, with(guess, bigRelay, of24(600, 0, 5)), deferral, "only deferred: a big relay"},
		{"sixty guesses from a private /24 are deferred", rule, with(guess, private, of24(60, 0, 5)), deferral, "only deferred: behind a private"},
		{"sixty guesses from the /24 of the only way in are told of", rule, with(guess, onlyWayIn, of24(60, 0, 5)), deferral + " observe", "only told of"},
		{"nothing is known of the client", rule, with(guess, forgotten), "unknown", "not known"},
		{"fifty-nine guesses", rule, with(guess, of24(59, 0, 5)), "pass", ""},
		{"a little less than four of five bad", rule, with(guess, of24(60, 16, 5)), "pass", ""},
		{"half of them bad", rule, with(guess, of24(60, 60, 5)), "pass", ""},
		{"four members", rule, with(guess, of24(6000, 0, 4)), "pass", ""},
		{"179 guesses from a /48", rule, with(guess, wide(of56(59, 0, 5), of48(179, 0, 5))), "pass", ""},
		{"180 guesses of four members of a /48", rule, with(guess, wide(of56(59, 0, 5), of48(180, 0, 4))), "pass", ""},
		{"599 guesses from the /24 of a known client", rule, with(guess, known, of24(599, 0, 5)), "pass", ""},
		{"599 guesses from the /24 of a good sender", rule, with(guess, goodSender, of24(599, 0, 5)), "pass", ""},
		{"599 guesses from a known /24", rule, with(guess, of24(599, 0, 5), netLogin), "pass", ""},
		{"599 guesses from a /24 with clean mail", rule, with(guess, of24(599, 0, 5), netClean), "pass", ""},
		{"599 guesses from the /24 of a big relay", rule, with(guess, bigRelay, of24(599, 0, 5)), "pass", ""},
		{"fifty-nine guesses from a private /24", rule, with(guess, private, of24(59, 0, 5)), "pass", ""},
		{"bounces to nobody", rule, with(guess, sender(""), of24(60, 0, 5)), "pass", ""},
		{"a good recipient after sixty guesses", rule, with(good, of24(60, 0, 5)), "pass", ""},
		{"a robot to a good recipient", rule, with(good, offended, of24(60, 0, 5)), "pass", ""},
		{"a guess at DATA", rule, with(guess, stage(Data), of24(60, 0, 5)), "pass", ""},
		{"a client in no network", rule, with(guess, wide()), "pass", ""},
	}
}

// dictionaryTrap are messages to spam traps.
func dictionaryTrap() []example {
	const rule, ban = "dictionary.trap", "defer defer defer ban"
	traps := dictionary(func(d *Dictionary) { d.Traps = []string{"x@example.org", "Trap@Example.org"} })
	to := func(address string) change {
		return func(s *scene) { traps(s); s.q.Stage, s.q.Recipient = RCPT, address }
	}
	message := func(trapped int) change { // whose header is here
		return func(s *scene) { traps(s); s.q.Stage, s.f.Here.Trapped, s.f.Client.Trapped = Data, true, trapped }
	}
	listID := func(s *scene) { s.q.ListID = "<list.example.net>" }
	return []example{
		{"the second message to a trap", rule, with(message(2)), ban, "2 messages to spam traps within a day"},
		{"the third message to a trap", rule, with(message(3)), ban, "3 messages"},
		{"a client that is listed", rule, with(message(2), listed(listedBy("one.test*4", at2))), ban, ""},
		{"the only way in is told of", rule, with(message(2), onlyWayIn), "defer defer defer observe", "only told of: over half"},
		{"nothing is known of the client", rule, with(message(2), forgotten), "unknown", "not known"},
		{"a trap is noted", rule, with(to("trap@example.org")), "pass trap", `"trap@example.org" is a trap`},
		{"a trap in upper case is noted", rule, with(to("TRAP@EXAMPLE.ORG")), "pass trap", ""},
		{"the other trap is noted", rule, with(to("x@example.org")), "pass trap", ""},
		{"the trap of a known client is noted, to be judged with the message", rule, with(to("x@example.org"), known), "pass trap", ""},
		{"the first message to a trap", rule, with(message(1)), "pass", ""},
		{"two messages to traps before, this one to others", rule, with(message(2), func(s *scene) { s.f.Here.Trapped = false }), "pass", ""},
		{"list mail to a trap", rule, with(message(2), listID), "pass", ""},
		{"a bounce to a trap", rule, with(message(2), sender("")), "pass", ""},
		{"a sender that is not known", rule, with(message(2), noSender), "pass", ""},
		{"a known client", rule, with(message(2), known), "pass", "2 messages to traps; passed: a login"},
		{"a client with clean mail", rule, with(message(2), cleanMail(5)), "pass", "passed: mail within a day"},
		{"a good sender", rule, with(message(2), goodSender), "pass", "passed: on a list of good"},
		{"a big relay", rule, with(message(2), bigRelay), "pass", "passed: a big relay"},
		{"a private address", rule, with(message(2), private), "pass", "passed: behind a private"},
		{"two messages when there were traps", rule, with(message(2), dictionary(func(d *Dictionary) { d.Traps = nil })), "pass", ""},
		{"a bounce to the trap is not noted", rule, with(to("x@example.org"), sender("")), "pass", ""},
		{"another recipient", rule, with(to("xx@example.org"), func(s *scene) { s.f.Here.Trapped, s.f.Client.Trapped = true, 5 }), "pass", ""},
		{"the same name elsewhere", rule, with(to("trap@example.com")), "pass", ""},
		{"a recipient when there are no traps", rule, with(stage(RCPT)), "pass", ""},
		{"a message when there are no traps", rule, with(stage(Data)), "pass", ""},
	}
}

// dictionaryDelay is the time that answers take after guesses.
func dictionaryDelay() []example {
	const rule = "dictionary.delay"
	on := dictionary(func(d *Dictionary) { d.DelayAfter = 3 })
	null := func(n int) change { return func(s *scene) { s.f.Here.NullBad = n } }
	busy := func(n int) change { return func(s *scene) { s.q.SMTPCount = n } }
	most := func(n int) change { return dictionary(func(d *Dictionary) { d.MaxConnections = n }) }
	wait := func(seconds string) string { return "delay delay delay " + seconds }
	return []example{
		{"the third guess", rule, with(guess, on, here(3, 0)), wait("1s"), "3 unknown recipients in this connection"},
		{"the fourth guess", rule, with(guess, on, here(4, 0)), wait("2s"), ""},
		{"the sixth guess", rule, with(guess, on, here(6, 0)), wait("4s"), ""},
		{"the seventh guess", rule, with(guess, on, here(7, 0)), wait("5s"), ""},
		{"the eighth guess", rule, with(guess, on, here(8, 0)), wait("5s"), ""},
		{"a good recipient after three guesses", rule, with(good, on, here(3, 90)), wait("1s"), ""},
		{"three probes", rule, with(guess, on, sender(""), null(3)), wait("1s"), ""},
		{"two guesses and a probe", rule, with(guess, on, here(2, 0), null(1)), wait("1s"), ""},
		{"half of the connections in use", rule, with(guess, on, here(3, 0), busy(10)), wait("1s"), ""},
		{"half of an odd number in use", rule, with(guess, on, here(3, 0), most(3), busy(1)), wait("1s"), ""},
		{"the first guess, where one is the limit", rule, with(guess, dictionary(func(d *Dictionary) { d.DelayAfter = 1 }), here(1, 0)), wait("1s"), "1 unknown recipient in this"},
		{"a hundred guesses, and nobody wants delays", rule, with(guess, here(100, 0), null(100)), "pass", ""},
		{"two guesses", rule, with(guess, on, here(2, 0)), "pass", ""},
		{"over half of the connections in use", rule, with(guess, on, here(3, 0), busy(11)), "pass", ""},
		{"over half of an odd number in use", rule, with(guess, on, here(3, 0), most(3), busy(2)), "pass", ""},
		{"three guesses, at DATA", rule, with(stage(Data), on, here(3, 0)), "pass", ""},
		{"nothing is known of the client", rule, with(guess, on, forgotten), "pass", ""},
	}
}

// shields are what speaks for a client, by the rule window: what is shielded may do ten times as much.
func shields() []example {
	const rule, ban = "dictionary.window", "defer defer defer ban"
	var list []example
	row := func(name, want, why string, given ...change) {
		list = append(list, example{name, rule, append(with(guess, hour(199, 0)), given...), want, why})
	}
	row("a client of whom nothing is known", ban, "")
	row("a login a day ago", ban, "", login(24*time.Hour))
	row("four clean messages", ban, "", cleanMail(4))
	row("a client on a block list", ban, "", listed(listedBy("one.test*5", at2)))
	row("a list of good senders that does not list it", ban, "", listed(clear("good.test*-1")))
	row("a list of good senders that did not answer", ban, "", listed(unanswered("good.test*-1", "")))
	row("a login, and half of the day bad", ban, "", known, day(10, 10))
	row("clean messages, and half of the day bad", ban, "", cleanMail(5), day(10, 10))
	row("a list of good senders, and half of the day bad", ban, "", goodSender, day(10, 10))
	row("a login, and nothing good in the day", ban, "", known, day(1, 0))
	row("a name that ends like a big relay's", ban, "", named("mail.notgoogle.com"))
	row("a big relay's name within another", ban, "", named("google.com.example.net"))
	row("another name", ban, "", named("mail.example.net"))
	row("a login a moment less than a day ago", "pass", "", login(24*time.Hour-1))
	row("five clean messages", "pass", "", cleanMail(5))
	row("a list of good senders", "pass", "", goodSender)
	row("a login, and less than half of the day bad", "pass", "", known, day(10, 11))
	row("clean messages, and less than half of the day bad", "pass", "", cleanMail(5), day(10, 11))
	row("a list of good senders, and less than half of the day bad", "pass", "", goodSender, day(10, 11))
	row("a big relay, and half of the day bad", "pass", "", bigRelay, day(10, 10))
	row("a big relay's own domain", "pass", "", named("gmx.net"))
	row("a big relay by its second domain", "pass", "", named("a.b.outlook.com"))
	row("a private address that has logged in", "defer defer defer", "behind a private", private, known)
	row("a big relay that has logged in, ten times over the limit", "defer defer defer", "a big relay", bigRelay, known, hour(200, 0))
	row("the only way in that has logged in", "defer defer defer observe", "only told of", onlyWayIn, known)
	return list
}

// The name of a client and the lists of good senders cost questions, so they are asked of one who would be refused, and of
// nobody else.
func TestWhatMaySpeakForAClientIsAskedOnceItIsToBeRefused(t *testing.T) {
	for _, e := range allExamples() {
		if policy, _, _ := strings.Cut(e.rule, "."); policy != "dictionary" {
			continue
		}
		s := build(e.given)
		v, _ := s.judge(t, e.rule)
		want := Need(0)
		if v.Hit && e.rule != "dictionary.delay" && s.f.lenient(families(bigProviders())).why == "" {
			want = NeedPTR | NeedLists
		}
		if v.Wants != want {
			t.Errorf("%s, %s: wants %b, not %b", e.rule, e.name, v.Wants, want)
		}
	}
}
