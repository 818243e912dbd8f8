// Package relaytest asks a mail server whether it is an open relay: whether it takes mail from a stranger for somebody
// elsewhere.
//
// # What a relay is
//
// A server relays if it takes a recipient who ends at a domain that is not its own. Whose an address is, the server decides,
// and the old ways of writing routes are where it errs: in victim%elsewhere@own (the percent hack, RFC 1123 5.2.16),
// elsewhere!victim@own (UUCP, RFC 976), @own:victim@elsewhere (a source route, RFC 5321 appendix C and F.2) or
// "victim@elsewhere"@own the domain that is checked is the server's, and the one that the mail goes to is not. Other servers
// trust what anybody can write: their own domain, or nothing, as the sender. Forms is the table of these ways.
//
// # What an answer means
//
// A 250 to RCPT is a promise, not yet a delivery, and for some forms not even a promise to relay: victim%elsewhere may be a
// mailbox of a server that takes all, or that looks at recipients after DATA only. So each form has one of these results:
//
//	relays    taken, and the recipient can't be a mailbox of the server: its domain is another's, or the server is known to
//	          refuse mailboxes that it does not have
//	accepted  taken, but perhaps for a mailbox of its own: look, or prove it by a message (Options.Deliver)
//	allowed   taken from a client that may relay by right, as it seems: see below
//	refused   a 5xx, from the greeting to the recipient, and with Deliver to the message
//	deferred  a 4xx: greylisting or load; the form is not tested
//	error     no answer: the connection ended, took too long, or said what is no SMTP
//	skipped   the server does not offer what the form needs, SMTPUTF8 (RFC 6531)
//
// A refusal proves nothing of a server that refuses everything. Hence two controls come first: the postmaster of its own
// domain, whom it has to take (RFC 5321 4.5.1), and a mailbox of a random name, which a server that knows its mailboxes
// refuses. The first finds the server's domain among the likely ones, the second tells relays from accepted.
//
// Every server relays for its own network. A client that it may take for one of its own, Near, finds such a right and no
// hole: where the victim is taken from there by the null sender and by the server's own postmaster alike, the client is
// Permitted, and the test ends, for the rest proves nothing. The road not taken is to guess from a configuration which hosts may relay.
//
// # How it asks
//
// Each form has a connection of its own, one a second: a server counts syntax errors and RSETs of a connection, and ends it
// when there are too many. The sender of the recipients' forms is the null one, which no server may refuse (RFC 5321 4.5.5)
// and no check of domains stops; nobody gets a bounce of it. Nothing follows RCPT but QUIT, unless Deliver says so. VRFY and
// EXPN are not asked: they say who exists, not who may relay.
//
// The same questions go to a server over the network and, by Exim, to exim -bh, which plays a client of any address without
// one. Each reply is bounded in size and time, and only what is printable is kept of it.
package relaytest
