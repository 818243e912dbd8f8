// Package mainlog reads the main and reject logs of Exim: lines to events (Reader), events to connections and messages
// (Sessions). It is made for judging a log after the fact, and so for logs that attackers wrote a good part of.
//
// # An entry
//
//	2026-11-23 13:02:26[.329] [+0200] [[4557] ][1xVTgg-0001BV-11 ]text
//	Nov 23 13:02:26 host exim[4557]: [2026-11-23 13:02:26 ][1/3] text     syslog, journalctl -o short
//	2026-11-23T13:02:26+0200 host exim[4557]: text                        journalctl -o short-iso
//	time=2026-11-23T13:02:26.329+02:00 text                               of eximpolicyd itself; in the journal without the time
//	{"time":"2026-11-23T13:02:26.329+02:00",text                          likewise, as JSON
//
// Milliseconds, zone and process are there when log_selector and log_timezone say so. The id of a message has 16 characters, or
// 23 since Exim 4.97. Lines without a time belong to the entry before: a reject entry goes on with "Envelope-from:",
// "Envelope-to:" and the header, each field after a letter and a blank.
//
// The text, after Exim's sources (host_and_ident, add_host_info_for_log, smtp_handle_acl_fail, receive.c):
//
//	subject  = [" DS"] "H=" host tags | "U=" login tags | tags
//	host     = "[" address "]" [":" port]
//	         | "(" helo ") [" address "]" [":" port]
//	         | name " [" ...               the HELO is the same as the confirmed name, or the address in brackets
//	         | name " (" helo ") [" ...
//	tags     = " I=[address]:port" " U=ident" " Ci=n" " X=cipher" " CV=no" ` DN="..."` " F=<sender>" " A=auth:login" ...
//	arrival  = id ("<=" | "(=") sender [R=id] ["H=" host] tags [`T="subject"`] ["from <sender>"] ["for" recipients]
//	delivery = id ("=>" | "->" | ">>" | "*>" | "**" | "==") address ["(" parents ")"] ["<" original ">"] tags [": " reason]
//	refusal  = subject ["temporarily "] "rejected " what [": " reason]
//	what     = `connection in "connect" ACL` | "EHLO or HELO " helo | "MAIL <..>" | "RCPT <..>" | "DATA" | "after DATA"
//	         | "during MIME ACL checks" | "by local_scan()" | "by non-SMTP ACL" | "AUTH .." | "STARTTLS" ...
//	session  = ("SMTP connection" | "SMTP call" | "no MAIL in SMTP connection" | "unexpected disconnection while reading SMTP
//	           command" | "TLS error on connection" | "SMTP command timeout on connection") " from " host rest
//	login    = name " authenticator failed for " host tags ": 535 " text ["(set_id=" login ")"]
//	error    = `SMTP protocol error in "` command `" H=` host message
//
// # Who may write what
//
// Exim prints line ends and other controls of a client as escapes, so that an entry is one line. Nothing else is safe:
//
//   - The folder of a command line (cwd=, +arguments) stands there as it is called, in 4.96 with its line ends: any local user can
//     write lines of his own into the log so. Those up to the arguments are Planted. A name that has " 1 args: x" in it before its
//     line end cannot be told from a whole entry: what follows "cwd=/home/x/..." in the same second may be that user's.
//   - The HELO is whatever stands between the parentheses, with helo_accept_junk_hosts also ") [192.0.2.1] F=<> rejected RCPT".
//     Each ") [address]" is tried, with what must follow it; the last that makes an entry is the host, since what follows it is
//     Exim's or the configuration's.
//   - The login of a failed authentication (set_id) stands behind the host: there the first that makes an entry is the host.
//   - A rejected HELO stands in the entry twice: only a reading that repeats its own HELO holds.
//   - The command of a protocol error stands before the host, and the message behind it is Exim's: the last `" H=` is the host.
//   - Addresses may have quoted blanks, ">" and "H=" in them: quotes are followed. The subject is quoted, with \" for a quote.
//   - The name is confirmed by the DNS and has no blank.
//
// An entry that makes sense with two addresses is Doubtful. Nobody should be blamed for it: both may be what an attacker wrote.
//
// # What a log can tell
//
// Each fact needs a word of log_selector (Selectors tells which were seen in a log):
//
//	which connection an entry belongs to                    +pid or +incoming_port
//	recipients that were taken                              +received_recipients, else only deliveries tell
//	connections without a message, their number             +smtp_connection, +smtp_no_mail
//	how a connection ended                                  +smtp_connection, +lost_incoming_connection (default)
//	commands that were wrong                                +smtp_protocol_error +smtp_syntax_error
//	the port of the server (submission or not)              +incoming_interface
//	Message-ID, size, HELO, cipher of accepted mail         default (+msg_id, +tls_cipher)
//	that a mail came without Message-ID                     no id=, where others have one: or Exim could not read it
//	that Exim made the Message-ID, before its DATA ACL      +msg_id_created: id*=
//	subject                                                 +subject
//	header fields of refused mail                           the reject log, +rejected_header (default)
//	directory and command of a local submission             +arguments
//	order within a second                                   +millisec
//	moments without doubt at the end of daylight saving     log_timezone = true
//
// # Time
//
// A stamp without a zone is of Options.Location. In the hour that comes twice in autumn the order of the log decides: a step
// back of more than 20 minutes is the second time, which then goes on. A stamp in the hour that never was is taken by the
// offset before it. Syslog's stamps have no year: the first is the last such day before the input was modified, and a step back
// of half a year is a new year; one file of syslog's that spans more than a year cannot be told from one that does not.
package mainlog
