// Package acl is the door: the wire protocol between Exim and the daemon, the server that speaks it, and the decider
// that gathers facts, asks the rules of package policy and picks the verdict.
//
// # The wire protocol
//
// Exim asks from its ACLs by ${readsocket} on one Unix stream socket, /run/eximpolicyd/policy.sock (directory 0750,
// socket 0660, group of the mail server). One connection is one request and one reply; the daemon closes. It has the
// shape of Postfix's policy delegation protocol, with quoted values. This is its only description.
//
// # Request
//
// Lines of name=value, each ended by LF, then an empty line; the daemon reads to the empty line or to the end of file.
// The first line is request=exim_acl, the second v=1. A name is 1 to 32 of a-z, 0-9 and _. A value is what Exim's
// ${quote:} writes:
//
//	[A-Za-z0-9_.-]+            as it is
//	""                         nothing
//	"..."                      with \" \\ \n \r; everything else inside is raw bytes, but no LF, CR or "
//
// Anything else is a malformed request. A name that stands twice is malformed; unknown names are ignored and counted. At
// most 64 kB and 64 names, for 2 s. A name that is missing is a fact that is not known, to which no rule objects.
//
//	protocol_state      CONNECT HELO MAIL RCPT PREDATA MIME DATA QUIT NOTQUIT NOT_SMTP_START NOT_SMTP
//	instance            Exim's pid
//	client_address      and client_port; empty: submitted on this machine. 0 or -1: not known, as in exim -bh
//	server_address      and server_port, which the client connected to
//	proxy_local_address and proxy_local_port: the proxy's end of the connection, after the PROXY protocol
//	protocol_name       esmtps, local, ...; the prefix utf8 says SMTPUTF8
//	server_name         $smtp_active_hostname; primary_hostname likewise
//	helo_name           empty: the client has not greeted
//	ident               of RFC 1413, or the login of a local caller
//	uid                 of a local caller; over TCP Exim's own
//	cwd                 $initial_cwd: where a local caller stood
//	sasl_method         and sasl_username, once authenticated; auth_fail_id: who failed last
//	command_history     the last 20 SMTP commands
//	tls_cipher          empty: no TLS
//	relay_host          1: the client is in Exim's relay_from_hosts; 0
//	sender              empty: the null sender
//	recipient           at RCPT
//	remote_count        recipients of a local submission that leave this host, or "unknown"; remote_first: one of them
//	rcpt_verify         none: not a domain of ours; ok; unknown: refused for good. rcpt_verify_failure: why
//	rcpt_count          RCPT commands of this message; rcpt_fail_count: those refused; recipient_count: those taken
//	size                octets, or -1
//	queue_id            at DATA and NOT_SMTP
//	msgid_present       0 or 1; date_present, from_present
//	msgid_count         how many fields that are not empty; date_count, from_count
//	msgid               the raw field, several joined by LF, cut at 2,100 octets; msgid_size: octets of the whole
//	date, from, list_id raw fields
//	spam_score          of Exim's content scanner
//	smtp_count          connections when this one began
//	notquit_reason      at NOTQUIT
//	tag                 what the last reply put into its tag
//
// # Reply
//
// One line of Exim's "extract" fields that ends in end=1, at most 4 kB:
//
//	action=deny msg="550 5.7.1 ..." log="..." rule=helo.H3 id=1vK3n8QZ4t end=1
//
//	action     dunno (no opinion), deny, defer, drop. Never accept, never discard: what the daemon does not object to is
//	           still subject to the site's own relay and recipient checks
//	msg        for the client, with a code whose first digit fits the verb
//	log        one line for Exim's log; no octet of the client before its address
//	rule, id   whose objection, and the name of the decision in the daemon's log
//	hdr        header fields to add, without an objection; only at MAIL RCPT PREDATA MIME DATA NOT_SMTP
//	strip      1: remove X-Source, X-Source-Dir and X-Source-Args as they came; at MAIL and NOT_SMTP, before ours are added
//	control    freeze/no_tell, ...; MAIL to DATA, NOT_SMTP
//	delay      2s; not at NOTQUIT
//	tag        kept in the connection and sent back
//	note       for Exim's log, without an objection: would=deny of an observed rule, malformed, busy, bypass
//	synthetic  1: the connection is not proven to exist; judged, and nothing is remembered
//	degraded   1: a fact that a rule needs did not come in time, and may yet come
//	end        1, and last. Without it Exim's snippet takes the reply for none: Exim takes a cut reply for success
//
// A value outside [A-Za-z0-9_.,:/-]+ is quoted, with \\ \" \n \r \t \ooo; never a NUL. The reply loses Exim's taint mark,
// so client text stands only in msg, log and note, made printable.
//
// Exactly the five octets "reset" are met with a closed connection and silence: Exim keeps a closed descriptor after a
// failed connect, and the snippet sends them to make it forget. Any other malformed or oversized request is answered
// action=dunno note="malformed: ..." end=1, since a client that could make us go silent could make the snippet stop
// asking. Without a free seat the answer is action=dunno note=busy end=1, at once.
//
// # Budgets
//
// Exim waits 3 s by the snippet's default. The daemon answers within 0.2 s at CONNECT and HELO, 1.5 s at MAIL and RCPT,
// 1 s at DATA and for local submissions; what is not known by then stays unknown. What RCPT needs of the DNS is started at
// CONNECT, HELO and MAIL, which do not wait for it, and goes on when a budget ends. A connection waits in vain once: its
// later requests read what is there.
//
// # Who is calling
//
// The peer is always a process of Exim's uid: that proves an Exim process, never that the connection it names is real,
// nor who the user is. Any local user can make Exim ask about addresses of his choosing (exim -bh, -oMi). Therefore:
//
// A connection is proven at CONNECT: the kernel must know Exim's own end of it, by an exact sock_diag query, as a socket of
// the peer's user, and the peer as a process that was forked and not started: by Exim's daemon (or the socket as root's, at
// ports 25, 465 and 587: inetd's); and no other living process may have named it before, that very socket: ports are used
// again. What is not proven is judged, marked synthetic=1, and leaves no memory.
//
// The user behind a connection from this machine is the owner of the client's socket, taken at CONNECT: later the
// client may have closed it, and the kernel then says root. The user of a local submission is uid.
package acl
