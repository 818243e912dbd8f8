package relaytest

import "strings"

// A Form is a way to ask for a relay. Its templates know {host}, the server's name in its greeting; {domain}, its domain; {ip},
// its address as in a literal; {victim}, who is elsewhere, as {user} at {elsewhere}; {from}, a stranger; {sender}, who is the
// null sender where the server takes that one, else the stranger; and {token}, a random word.
type Form struct {
	Name     string `json:"name"`
	Mail     string `json:"mail"`
	Rcpt     string `json:"rcpt"`
	Exploits string `json:"exploits"` // which mistake of a server it finds
	Source   string `json:"source"`

	Local bool `json:"local,omitempty"` // the recipient, read as RFC 5321 does, may be a mailbox of the server
	UTF8  bool `json:"utf8,omitempty"`  // it needs SMTPUTF8
	Stray bool `json:"stray,omitempty"` // the recipient is not the victim, so that nothing is ever sent there
}

// What most rows share.
const (
	viaNet  = "RFC 1123 5.2.16"
	viaUUCP = "RFC 976"
	literal = "RFC 5321 4.1.3"
	route   = "RFC 5321 appendix C"
	nmap    = "nmap smtp-open-relay"
	maps    = "mail-abuse.org relay-test"

	nullSender = "{sender}"
)

// Forms returns the table: first what a server believes of the sender, then of the recipient. The first three tell whether
// the client has a right of its own.
func Forms() []Form { return append(senders(), recipients()...) }

func senders() []Form {
	return []Form{
		{Name: "null sender", Mail: "", Rcpt: "{victim}",
			Exploits: "bounces are let through wherever they go", Source: "RFC 5321 4.5.5; " + nmap},
		{Name: "own postmaster", Mail: "postmaster@{domain}", Rcpt: "{victim}",
			Exploits: "whoever names the server's domain as sender may relay", Source: "RFC 5321 7.1; " + maps},
		{Name: "stranger", Mail: "{from}", Rcpt: "{victim}",
			Exploits: "anybody may relay", Source: "RFC 5321 7.9"},
		{Name: "own domain, nobody", Mail: "{token}@{domain}", Rcpt: "{victim}",
			Exploits: "own senders may relay, and need not exist", Source: nmap + "; " + maps},
		{Name: "own host", Mail: "relaytest@{host}", Rcpt: "{victim}",
			Exploits: "the server's name as sender may relay", Source: nmap},
		{Name: "own literal", Mail: "relaytest@[{ip}]", Rcpt: "{victim}",
			Exploits: "the server's address as sender may relay", Source: literal + "; " + nmap},
		{Name: "localhost", Mail: "relaytest@localhost", Rcpt: "{victim}",
			Exploits: "localhost as sender passes for a local one", Source: maps},
		{Name: "unqualified", Mail: "relaytest", Rcpt: "{victim}",
			Exploits: "the server's domain is added to a sender, who is then its own", Source: maps},
		{Name: "victim to victim", Mail: "{victim}", Rcpt: "{victim}",
			Exploits: "mail from somebody to himself passes", Source: maps},
		{Name: "routed sender", Mail: "@{domain}:{from}", Rcpt: "{victim}",
			Exploits: "the first domain of a sender's route passes for his", Source: route},
		{Name: "percent sender", Mail: "relaytest%{elsewhere}@{domain}", Rcpt: "{victim}",
			Exploits: "own senders may relay, whatever their local part", Source: viaNet},
		{Name: "bang sender", Mail: "{domain}!relaytest", Rcpt: "{victim}",
			Exploits: "the first host of a sender's path passes for his", Source: viaUUCP},
		{Name: "UTF-8 sender", Mail: "prüfung@{domain}", Rcpt: "{victim}", UTF8: true,
			Exploits: "an own sender in UTF-8 goes around a check of senders", Source: "RFC 6531 3.3"},
	}
}

func recipients() []Form {
	return append([]Form{
		{Name: "percent hack", Mail: nullSender, Rcpt: "{user}%{elsewhere}@{domain}", Local: true,
			Exploits: "the last % becomes the @ once the server's domain is off", Source: viaNet + "; " + nmap},
		{Name: "percent at host", Mail: nullSender, Rcpt: "{user}%{elsewhere}@{host}", Local: true,
			Exploits: "the last % becomes the @ once the server's name is off", Source: viaNet + "; " + nmap},
		{Name: "percent at literal", Mail: nullSender, Rcpt: "{user}%{elsewhere}@[{ip}]", Local: true,
			Exploits: "the last % becomes the @ once the server's address is off", Source: literal + "; " + nmap},
		{Name: "percent at localhost", Mail: nullSender, Rcpt: "{user}%{elsewhere}@localhost", Local: true,
			Exploits: "localhost is the server's too, and not in the checks", Source: viaNet},
		{Name: "percent alone", Mail: nullSender, Rcpt: "{user}%{elsewhere}", Local: true,
			Exploits: "a recipient without @ passes the checks", Source: viaNet},
		{Name: "percent twice", Mail: nullSender, Rcpt: "{user}%{elsewhere}%{domain}@{domain}", Local: true,
			Exploits: "only one % is looked for", Source: viaNet},
		{Name: "percent, routed", Mail: nullSender, Rcpt: "@{domain}:{user}%{elsewhere}@{domain}", Local: true,
			Exploits: "what is behind a route is not looked at", Source: viaNet},
		{Name: "bang path", Mail: nullSender, Rcpt: "{elsewhere}!{user}", Local: true,
			Exploits: "the first host of a path is routed to", Source: viaUUCP + "; " + nmap},
		{Name: "bang at domain", Mail: nullSender, Rcpt: "{elsewhere}!{user}@{domain}", Local: true,
			Exploits: "a path in a local part is followed", Source: viaUUCP + "; " + nmap},
		{Name: "bang at host", Mail: nullSender, Rcpt: "{elsewhere}!{user}@{host}", Local: true,
			Exploits: "a path in a local part at the server's name is followed", Source: viaUUCP + "; " + nmap},
		{Name: "bang at literal", Mail: nullSender, Rcpt: "{elsewhere}!{user}@[{ip}]", Local: true,
			Exploits: "a path in a local part at the server's address is followed", Source: literal + "; " + nmap},
		{Name: "bang by own host", Mail: nullSender, Rcpt: "{domain}!{elsewhere}!{user}", Local: true,
			Exploits: "only the first host of a path is looked at", Source: viaUUCP},
		{Name: "bang before @", Mail: nullSender, Rcpt: "{domain}!{user}@{elsewhere}",
			Exploits: "! is read before @, as UUCP does, and the domain not checked", Source: "RFC 976 1"},
		{Name: "bang and percent", Mail: nullSender, Rcpt: "{elsewhere}!{user}%{domain}@{domain}", Local: true,
			Exploits: "with the % gone, a path is left", Source: viaUUCP},
	}, written()...)
}

// written are the forms that play with quotes, routes and signs.
func written() []Form {
	return []Form{
		{Name: "quoted local part", Mail: nullSender, Rcpt: `"{user}"@{elsewhere}`,
			Exploits: "quotes hide an address from a pattern", Source: "RFC 5321 4.1.2"},
		{Name: "quoted whole", Mail: nullSender, Rcpt: `"{victim}"`, Local: true,
			Exploits: "the quotes are taken off after the checks", Source: nmap + "; " + maps},
		{Name: "quoted at domain", Mail: nullSender, Rcpt: `"{victim}"@{domain}`, Local: true,
			Exploits: "an address in a local part is sent to", Source: nmap},
		{Name: "quoted at literal", Mail: nullSender, Rcpt: `"{victim}"@[{ip}]`, Local: true,
			Exploits: "an address in a local part at the server's address is sent to", Source: nmap},
		{Name: "quoted percent", Mail: nullSender, Rcpt: `"{user}%{elsewhere}"`, Local: true,
			Exploits: "quotes hide the %", Source: nmap},
		{Name: "quoted percent at", Mail: nullSender, Rcpt: `"{user}%{elsewhere}"@{domain}`, Local: true,
			Exploits: "quotes hide the % from a pattern", Source: viaNet},
		{Name: "quoted bang", Mail: nullSender, Rcpt: `"{elsewhere}!{user}"@{domain}`, Local: true,
			Exploits: "quotes hide the ! from a pattern", Source: viaUUCP},
		{Name: "source route", Mail: nullSender, Rcpt: "@{domain}:{victim}",
			Exploits: "the first domain of a route passes for the recipient's", Source: route + ", F.2; " + nmap},
		{Name: "route by host", Mail: nullSender, Rcpt: "@{host}:{victim}",
			Exploits: "the server's name in a route passes for the recipient's domain", Source: route + "; " + nmap},
		{Name: "route by literal", Mail: nullSender, Rcpt: "@[{ip}]:{victim}",
			Exploits: "the server's address in a route passes for the recipient's domain", Source: literal + "; " + nmap},
		{Name: "route by localhost", Mail: nullSender, Rcpt: "@localhost:{victim}",
			Exploits: "localhost in a route passes for the recipient's domain", Source: route},
		{Name: "route by two", Mail: nullSender, Rcpt: "@{domain},@{elsewhere}:{victim}",
			Exploits: "only the first domain of a route is looked at", Source: route},
		{Name: "doubled @", Mail: nullSender, Rcpt: "{victim}@{domain}", Local: true,
			Exploits: "one @ is checked, and the other sent to", Source: nmap},
		{Name: "doubled @ at host", Mail: nullSender, Rcpt: "{victim}@{host}", Local: true,
			Exploits: "one @, at the server's name, is checked, and the other sent to", Source: nmap},
		{Name: "doubled @ at literal", Mail: nullSender, Rcpt: "{victim}@[{ip}]", Local: true,
			Exploits: "one @, at the server's address, is checked, and the other sent to", Source: nmap},
		{Name: "own domain before", Mail: nullSender, Rcpt: "{user}@{domain}@{elsewhere}",
			Exploits: "the first @ is checked, and the last sent to", Source: "RFC 5321 4.1.2"},
		{Name: "lookalike domain", Mail: nullSender, Rcpt: "{user}@{token}-{domain}", Stray: true,
			Exploits: "a pattern *example.com that has forgotten its dot", Source: "Exim specification, domain lists"},
		{Name: "final dot", Mail: nullSender, Rcpt: "{victim}.",
			Exploits: "a list of domains is compared as text", Source: "RFC 5321 2.3.5"},
		{Name: "literal elsewhere", Mail: nullSender, Rcpt: "{user}@[198.51.100.1]", Stray: true,
			Exploits: "an address literal is in no list of domains", Source: literal},
		{Name: "number elsewhere", Mail: nullSender, Rcpt: "{user}@#3325256705", Stray: true,
			Exploits: "an address as one number is in no list of domains", Source: "RFC 821 4.1.2"},
		{Name: "UTF-8 @", Mail: nullSender, Rcpt: "{user}\uff20{elsewhere}@{domain}", Local: true, UTF8: true,
			Exploits: "a wide @ becomes a plain one when it is normalised", Source: "RFC 6531 3.3; Unicode NFKC"},
		{Name: "UTF-8 percent", Mail: nullSender, Rcpt: "{user}\uff05{elsewhere}@{domain}", Local: true, UTF8: true,
			Exploits: "a wide % becomes a plain one when it is normalised", Source: "RFC 6531 3.3; Unicode NFKC"},
		{Name: "UTF-8 local part", Mail: nullSender, Rcpt: "prüfung@{elsewhere}", UTF8: true, Stray: true,
			Exploits: "a recipient in UTF-8 goes around a check of domains", Source: "RFC 6531 3.3"},
	}
}

// filler returns what fills templates in.
func (t *tester) filler() *strings.Replacer {
	user, elsewhere, _ := strings.Cut(t.Victim, "@")
	sender := ""
	if t.noNull {
		sender = t.From
	}
	return strings.NewReplacer("{host}", t.report.Host, "{domain}", t.report.Domain, "{ip}", bracketed(t.Server), "{victim}", t.Victim,
		"{user}", user, "{elsewhere}", elsewhere, "{from}", t.From, "{sender}", sender, "{token}", t.report.Token)
}
