// Package scenario reads and plays policy unit tests that an administrator writes as text: a configuration, what the DNS
// answers, a session, and what must come back. It decides as serve does, with the same decider, a memory of its own and a
// clock that the text moves; no daemon, no Exim, no DNS server but one of its own on the loopback address.
//
// # A scenario
//
// A scenario is a configuration, what the DNS answers, a session, and what must come back:
//
//	# Whoever greets with our name is refused.
//	-- config --
//	own.names = ["mx.example.org"]
//	policy.helo.rules = {H3 = "enforce"}
//
//	-- case a stranger with our name --
//	> CONNECT 203.0.113.7
//	> EHLO mx.example.org
//	> MAIL FROM:<a@example.net>
//	> RCPT TO:<b@example.org>
//	< deny 550 5.7.1 rule=helo.H3
//
// # Sections
//
// A line of the form "-- config --" begins a section. One of config, dns or exim holds for the cases below it, until the
// next of its kind. Without config everything is as it comes; without dns nothing is asked, and what rules need of the
// DNS is not known.
//
//	-- config --      eximpolicyd.toml, word for word; [listen], [log], [state] and dns.servers are not looked at
//	-- dns --         what the DNS answers; every other name is missing
//	-- exim --        name=value words that stand in every request, as in eximpolicyd-protocol(7): primary_hostname=mx.example.org
//	-- case NAME --   one session, or several; the memory begins empty
//
// Lines of dns, of which the lists have to be in the configuration:
//
//	mail.example.net A 203.0.113.7        and AAAA, MX, NS, TXT, CNAME, PTR
//	203.0.113.7 PTR mail.example.net
//	bl.example lists                      a list that is well and has no entries, besides those for tests (RFC 5782 5)
//	bl.example lists 203.0.113.7          with this entry, an address or a name, and its codes: 127.0.0.2 if none stands there
//	bl.example timeout                    no answer for it and all names below: timeout, servfail or refused
//
// A name that does not answer is waited for, some seconds, in which the clock of the case stands.
//
// # Lines of a case
//
// What the client says, and what Exim would find:
//
//	> CONNECT 203.0.113.7 server_port=587     a new connection; user=nobody: who holds the other end on this machine
//	> EHLO mail.example.net                   or HELO
//	> STARTTLS                                after which the client has not greeted yet
//	> AUTH anna                               a login; AUTH anna failed
//	> MAIL FROM:<a@example.net>
//	> RCPT TO:<b@example.org>                 a recipient of ours that is there; or unknown, or none: not of ours
//	> DATA                                    the header follows, a line each, two blanks before it; without it nothing is known of it
//	> RSET                                    QUIT; NOTQUIT: the connection was lost
//	> NOT_SMTP user=nobody remote_count=1     a message submitted on this machine
//
// Any name of the wire protocol may follow: name=value, or name="with blanks". At CONNECT and HELO it holds for the
// connection, at MAIL for the message, else for the line. What is counted, Exim's counts and its history of commands, is
// counted here. x20 at the end says the line twenty times; what comes back is then that of the last.
//
// What must come back follows the line. Only what is written is compared:
//
//	< defer 451 4.7.1 rule=dictionary.window  what Exim is told: action, perhaps the code
//	! would=deny score=3.0                    and what was found. A line may have any of
//
//	action code rule would    none, where there is none
//	score mark class delay    3.0, yes or no, a class of exemption, seconds
//	hit                       rules that hit, observed ones too, with commas; others may have hit
//	reason text               a part of it
//	source account            who sent a message of ours: sendmail, smtp or login, and a name
//	ban level                 networks that were banned just now, and at which levels
//
// A "<" alone is a place for --update to write to. Time passes by
//
//	@ +1h                     or 90s, 2d, 1d12h; a case begins on 1 June 2026 at noon, UTC
//	@ 2026-12-24T08:00:00Z    which may not be in the past
//	@ reconnect               QUIT, and CONNECT and EHLO with the words of before
//
// A line that begins with # is a comment, and so is what follows a word that begins with it.
package scenario
