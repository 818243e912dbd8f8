package rbl

// Operators with several lists: of what one of them says, only the strongest counts.
const (
	spamhaus  = "Spamhaus"
	abusix    = "Abusix"
	barracuda = "Barracuda"
	dnswl     = "DNSWL"
	mailspike = "Mailspike"
	psbl      = "PSBL"
	sem       = "Spam Eating Monkey"
	spamrats  = "SpamRATS"
	surbl     = "SURBL"
	uceprot   = "UCEPROTECT"
	uribl     = "URIBL"
	validity  = "Validity"
)

// Where those who are listed can look.
const (
	spamhausURL = "https://check.spamhaus.org/"
	abusixURL   = "https://lookup.abusix.com/"
	uriblURL    = "https://lookup.uribl.com/"
	validityURL = "https://senderscore.org/"
)

const refused = "it refuses to answer: too many questions, or a public resolver"

// What Spamhaus' lists of addresses mean. One of them is worth as much as all: an address is in several of them because
// they are one list, so that the meanings count nothing of their own. DROP networks are in SBL, too.
var spamhausMeanings = []worth{
	{"127.0.0.2", 0, "SBL: spam source"},
	{"127.0.0.3", 0, "CSS: spam source, found automatically"},
	{"127.0.0.[4..7]", 0, "XBL: infected or exploited host"},
	{"127.0.0.9", 0, "DROP: hijacked or criminal network"},
	{"127.0.0.[10..11]", 0, "PBL: must not send mail directly"},
}

// spamhausWeights makes all codes of a list of addresses worth 5.0.
//
// The PBL is for port 25 without authentication only; that holds because nobody asks about another client: submission
// and whoever has logged in are exempt.
func spamhausWeights(codes string) []worth {
	all, ws := pattern(codes), []worth{{codes, 50, ""}}
	for _, w := range spamhausMeanings {
		if has := pattern(w.codes); has.and(all) == has {
			ws = append(ws, w)
		}
	}
	return ws
}

// catalogue is what is known of lists. Those of the default set come first, with codes, weights and meanings; what else
// stands here is known by kind and operator, so that a list of names among those of addresses, a slip of the hand, and
// two lists of one operator are noticed. A list whose facts are in doubt is better left out: it works without.
var catalogue = []known{
	{zone: "zen.spamhaus.org", kinds: listsAddresses, operator: spamhaus, on: listsAddresses, url: spamhausURL,
		codes:   "127.0.0.[2..7;9..11]",
		weights: spamhausWeights("127.0.0.[2..7;9..11]")},
	{zone: "bl.spamcop.net", kinds: listsAddresses, operator: "SpamCop", noIPv6: true, on: listsAddresses, url: "https://www.spamcop.net/bl.shtml",
		codes:   "127.0.0.2",
		weights: []worth{{"127.0.0.2", 25, ""}}},
	{zone: "psbl.surriel.com", kinds: listsAddresses, operator: psbl, noIPv6: true, on: listsAddresses, url: "https://psbl.org/",
		codes:   "127.0.0.2",
		weights: []worth{{"127.0.0.2", 20, ""}}},
	{zone: "rep.mailspike.net", kinds: listsAddresses, operator: mailspike, noIPv6: true, on: listsAddresses, url: "https://mailspike.org/",
		test:  NoTest, // its documentation names no entry
		codes: "127.0.0.[10..20]",
		weights: []worth{
			{"127.0.0.10", 20, "worst reputation"},
			{"127.0.0.11", 20, "very bad reputation"},
			{"127.0.0.12", 20, "bad reputation"},
			{"127.0.0.[13..16]", 0, "neutral reputation"},
			{"127.0.0.[17..18]", -10, "good reputation"},
			{"127.0.0.19", -10, "very good reputation"},
			{"127.0.0.20", -10, "excellent reputation"},
		}},
	{zone: "list.dnswl.org", kinds: listsAddresses, operator: dnswl, on: listsAddresses, url: "https://www.dnswl.org/",
		codes: "127.0.[0..255].[0..3]",
		weights: []worth{
			{"127.0.[0..9;11..255].0", 0, "no trust"},
			{"127.0.[0..9;11..255].1", -10, "low trust"},
			{"127.0.[0..9;11..255].2", -20, "medium trust"},
			{"127.0.[0..9;11..255].3", -40, "high trust"},
			{"127.0.10.[0..3]", 0, "special case"}, // its test entry is one
		},
		errors: []worth{{"127.0.0.255", 0, refused}}},
	{zone: "hostkarma.junkemailfilter.com", kinds: listsBoth, operator: "Junk Email Filter", noIPv6: true, on: listsAddresses, one: true,
		codes: "127.0.0.[1..5]",
		weights: []worth{
			{"127.0.0.1", -10, "white"},
			{"127.0.0.2", 15, "black"},
			{"127.0.0.3", 0, "yellow: sends both"},
			{"127.0.0.4", 0, "brown: not yet black"},
			{"127.0.0.5", 0, "none: not to be listed"},
		}},
	{zone: "dbl.spamhaus.org", kinds: listsNames, operator: spamhaus, on: listsNames, url: spamhausURL, test: "dbltest.com",
		codes: "127.0.1.[2;4..6;102..106]",
		weights: []worth{
			{"127.0.1.[2;4..6]", 40, ""},
			{"127.0.1.[102..106]", 20, ""},
			{"127.0.1.2", 0, "spam domain"},
			{"127.0.1.4", 0, "phishing domain"},
			{"127.0.1.5", 0, "malware domain"},
			{"127.0.1.6", 0, "botnet control domain"},
			{"127.0.1.102", 0, "abused honest domain: spam"},
			{"127.0.1.103", 0, "abused honest domain: redirector"},
			{"127.0.1.104", 0, "abused honest domain: phishing"},
			{"127.0.1.105", 0, "abused honest domain: malware"},
			{"127.0.1.106", 0, "abused honest domain: botnet control"},
		},
		errors: []worth{{"127.0.1.255", 0, "it was asked about an address"}}},
	{zone: "multi.uribl.com", kinds: listsNames, operator: uribl, on: listsNames, url: uriblURL, test: "test.uribl.com",
		codes: withAny(2 | 4 | 8),
		weights: []worth{
			{withAny(2 | 4 | 8), 20, ""},
			{withAny(2), 0, "black"},
			{withAny(4), 0, "grey"},
			{withAny(8), 0, "red"},
		},
		errors: []worth{{withAny(1), 0, refused}}},
	{zone: "multi.surbl.org", kinds: listsNames, operator: surbl, on: listsNames, url: "https://surbl.org/surbl-analysis",
		test:  "test.surbl.org",
		codes: withAny(0xfe),
		weights: []worth{
			{withAny(0xfe), 20, ""},
			{withAny(8), 0, "phishing"},
			{withAny(16), 0, "malware"},
			{withAny(64), 0, "abuse"},
			{withAny(128), 0, "cracked site"},
		},
		errors: []worth{{withAny(1), 0, refused}}},

	{zone: "b.barracudacentral.org", kinds: listsAddresses, operator: barracuda, noIPv6: true, codes: "127.0.0.2",
		url:   "https://www.barracudacentral.org/lookups",
		needs: "registration of your resolver's address at barracudacentral.org"},
	{zone: "bb.barracudacentral.org", kinds: listsAddresses, operator: barracuda, noIPv6: true, codes: "127.0.0.2",
		url:   "https://www.barracudacentral.org/lookups",
		needs: "registration of your resolver's address at barracudacentral.org"},
	{zone: "bl.score.senderscore.com", kinds: listsAddresses, operator: validity, noIPv6: true, url: validityURL,
		needs: "an account of Validity", example: "bl.score.senderscore.com=127.0.4.[0..20]*1"},
	{zone: "score.senderscore.com", kinds: listsAddresses, operator: validity, noIPv6: true, url: validityURL,
		needs: "an account of Validity", example: "score.senderscore.com=127.0.4.[0..20]*1"},
	{zone: "sa-trusted.bondedsender.org", kinds: listsAddresses, operator: validity, noIPv6: true, allow: true, needs: "an account of Validity"},
	{zone: "sa-accredit.habeas.com", kinds: listsAddresses, operator: validity, noIPv6: true, allow: true, needs: "an account of Validity"},

	{zone: "sbl.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL,
		codes: "127.0.0.[2..3;9]", weights: spamhausWeights("127.0.0.[2..3;9]")},
	{zone: "css.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL,
		codes: "127.0.0.[2..3]", weights: spamhausWeights("127.0.0.[2..3]")},
	{zone: "xbl.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL,
		codes: "127.0.0.[4..7]", weights: spamhausWeights("127.0.0.[4..7]")},
	{zone: "sbl-xbl.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL,
		codes: "127.0.0.[2..7;9]", weights: spamhausWeights("127.0.0.[2..7;9]")},
	{zone: "pbl.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL,
		codes: "127.0.0.[10..11]", weights: spamhausWeights("127.0.0.[10..11]")},
	{zone: "authbl.spamhaus.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL, codes: "127.0.0.20"},
	{zone: "zrd.spamhaus.org", kinds: listsNames, operator: spamhaus, url: spamhausURL, codes: "127.0.2.[2..24]"},
	{zone: "cbl.abuseat.org", kinds: listsAddresses, operator: spamhaus, url: spamhausURL},

	{zone: "combined.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL,
		codes: "127.0.0.[2..4;11..12;200]"},
	{zone: "black.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL,
		codes: "127.0.0.[2..3;200]"},
	{zone: "exploit.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL},
	{zone: "policy.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL},
	{zone: "dynamic.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL},
	{zone: "noip.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL},
	{zone: "authbl.mail.abusix.zone", kinds: listsAddresses, operator: abusix, url: abusixURL},
	{zone: "white.mail.abusix.zone", kinds: listsBoth, operator: abusix, url: abusixURL, allow: true},
	{zone: "dblack.mail.abusix.zone", kinds: listsNames, operator: abusix, url: abusixURL},
	{zone: "nod.mail.abusix.zone", kinds: listsNames, operator: abusix, url: abusixURL},

	{zone: "bl.mailspike.net", kinds: listsAddresses, operator: mailspike, noIPv6: true},
	{zone: "z.mailspike.net", kinds: listsAddresses, operator: mailspike, noIPv6: true},
	{zone: "wl.mailspike.net", kinds: listsAddresses, operator: mailspike, noIPv6: true, allow: true, test: NoTest},
	{zone: "dwl.dnswl.org", kinds: listsNames, operator: dnswl, allow: true},
	{zone: "whitelist.surriel.com", kinds: listsAddresses, operator: psbl, allow: true},
	{zone: "black.uribl.com", kinds: listsNames, operator: uribl, url: uriblURL, test: "test.uribl.com"},
	{zone: "grey.uribl.com", kinds: listsNames, operator: uribl, url: uriblURL, test: "test.uribl.com"},
	{zone: "red.uribl.com", kinds: listsNames, operator: uribl, url: uriblURL, test: "test.uribl.com"},
	{zone: "white.uribl.com", kinds: listsNames, operator: uribl, url: uriblURL, allow: true},

	{zone: "dnsbl-0.uceprotect.net", kinds: listsAddresses, operator: uceprot},
	{zone: "dnsbl-1.uceprotect.net", kinds: listsAddresses, operator: uceprot},
	{zone: "dnsbl-2.uceprotect.net", kinds: listsAddresses, operator: uceprot},
	{zone: "dnsbl-3.uceprotect.net", kinds: listsAddresses, operator: uceprot},
	{zone: "ips.backscatterer.org", kinds: listsAddresses, operator: uceprot},
	{zone: "dnsbl.dronebl.org", kinds: listsAddresses, operator: "DroneBL"},
	{zone: "bl.blocklist.de", kinds: listsAddresses, operator: "blocklist.de"},
	{zone: "truncate.gbudb.net", kinds: listsAddresses, operator: "GBUdb", noIPv6: true},
	{zone: "dnsbl.spfbl.net", kinds: listsBoth, operator: "SPFBL"},
	{zone: "all.spamrats.com", kinds: listsAddresses, operator: spamrats},
	{zone: "auth.spamrats.com", kinds: listsAddresses, operator: spamrats},
	{zone: "dyna.spamrats.com", kinds: listsAddresses, operator: spamrats},
	{zone: "noptr.spamrats.com", kinds: listsAddresses, operator: spamrats},
	{zone: "spam.spamrats.com", kinds: listsAddresses, operator: spamrats},
	{zone: "bl.spameatingmonkey.net", kinds: listsAddresses, operator: sem, noIPv6: true},
	{zone: "backscatter.spameatingmonkey.net", kinds: listsAddresses, operator: sem},
	{zone: "netbl.spameatingmonkey.net", kinds: listsAddresses, operator: sem},
	{zone: "fresh.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "fresh10.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "fresh15.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "fresh30.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "freshzero.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "uribl.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "urired.spameatingmonkey.net", kinds: listsNames, operator: sem},
	{zone: "bl.nordspam.com", kinds: listsAddresses, operator: "NordSpam"},
	{zone: "dbl.nordspam.com", kinds: listsNames, operator: "NordSpam"},
	{zone: "bl.suomispam.net", kinds: listsAddresses, operator: "SuomiSpam"},
	{zone: "gl.suomispam.net", kinds: listsAddresses, operator: "SuomiSpam"},
	{zone: "dbl.suomispam.net", kinds: listsNames, operator: "SuomiSpam"},
	{zone: "dnsbl.zapbl.net", kinds: listsAddresses, operator: "ZapBL"},
	{zone: "rhsbl.zapbl.net", kinds: listsNames, operator: "ZapBL"},
	{zone: "dnsrbl.swinog.ch", kinds: listsAddresses, operator: "SwiNOG"},
	{zone: "spamrbl.swinog.ch", kinds: listsAddresses, operator: "SwiNOG"},
	{zone: "uribl.swinog.ch", kinds: listsNames, operator: "SwiNOG"},
	{zone: "rbl.abuse.ro", kinds: listsAddresses, operator: "abuse.ro"},
	{zone: "uribl.abuse.ro", kinds: listsNames, operator: "abuse.ro"},
	{zone: "bl.scientificspam.net", kinds: listsAddresses, operator: "Scientific Spam"},
	{zone: "rhsbl.scientificspam.net", kinds: listsNames, operator: "Scientific Spam"},
	{zone: "all.s5h.net", kinds: listsAddresses, operator: "s5h.net"},
	{zone: "rbl.interserver.net", kinds: listsAddresses, operator: "InterServer"},
	{zone: "rbl.efnetrbl.org", kinds: listsAddresses, operator: "EFnet"},
	{zone: "bip.virusfree.cz", kinds: listsAddresses, operator: "VirusFree"},
	{zone: "tor.dan.me.uk", kinds: listsAddresses, operator: "dan.me.uk"},
	{zone: "torexit.dan.me.uk", kinds: listsAddresses, operator: "dan.me.uk"},
	{zone: "abuse.rfc-clueless.org", kinds: listsNames, operator: "RFC-Clueless"},
	{zone: "bogusmx.rfc-clueless.org", kinds: listsNames, operator: "RFC-Clueless"},
	{zone: "dsn.rfc-clueless.org", kinds: listsNames, operator: "RFC-Clueless"},
	{zone: "fulldom.rfc-clueless.org", kinds: listsNames, operator: "RFC-Clueless"},
	{zone: "postmaster.rfc-clueless.org", kinds: listsNames, operator: "RFC-Clueless"},
}
