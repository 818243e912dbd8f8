// Package trace finds who sent something: it reads Exim's logs as somebody does who greps them at night, and says of each
// answer what it rests on.
//
// # Who sent a message
//
// What a log tells of the sender, the surest first; a message has at most one of the first two:
//
//	account    A=plain:alice: the login that SMTP AUTH proved
//	           U=www-data: the user that called sendmail. Over the net U= is what the client's own machine says (RFC 1413),
//	           and no account here
//	uid        of that user, in this machine's account database, or as our own note says
//	directory  of our own note, or "cwd=/home/x/public_html 4 args: /usr/sbin/sendmail -t -i", which +arguments writes when
//	           sendmail starts. With +pid the arrival of the same process is its message. Without, it is a guess: the next local
//	           arrival within guessTime, that of the sender which -f names before others
//	script     of our own note, of X-PHP-Originating-Script or X-Source-Args of a header in the reject log, or of an argument
//	client     the address that it came from by SMTP
//
// Sent by this host is what has no client, or one that is this machine, or one that logged in. Mail of others passes through.
//
// # Who may write what
//
// The user of a script chooses sender, subject, arguments, the name of his directory, and all of a report that he writes.
// He does not choose A=, U=, the client's address, and which directory the process was started in. Whatever is shown is
// made printable first.
package trace
