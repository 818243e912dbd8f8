package mainlog

// Kind says what an entry of the log tells. Kinds from Arrived to Noted tell of a client; the others name the reason why an
// entry tells of none, so that no line is passed over in silence.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota // an entry of no form known here: a bug of this package, or a newer Exim

	// Of a client.
	Arrived           // <=
	ArrivedRefused    // (= : kept, while the client was told that it was refused
	Opened            // SMTP connection from ...
	Closed            // ... closed by QUIT
	Dropped           // ... closed by DROP in ACL; SMTP call from ... dropped
	Lost              // ... lost; unexpected disconnection
	TimedOut          // SMTP command timeout, SMTP data timeout
	NoMail            // no MAIL in SMTP connection from ...
	Refused           // refused before any ACL: too many connections, host_reject_connection
	ConnectRejected   // rejected connection in "connect" ACL
	HeloRejected      // rejected EHLO or HELO, also for its syntax
	MailRejected      // rejected MAIL
	RcptRejected      // rejected RCPT
	RcptDiscarded     // RCPT ...: discarded by ... ACL: the client was told 250
	DataRejected      // rejected DATA, after DATA, during MIME ACL checks
	ScanRejected      // rejected by local_scan()
	MessageRejected   // refused by Exim itself: too big, header too long, bare line ends
	CommandRejected   // rejected AUTH, STARTTLS, VRFY, EXPN, ETRN, ATRN ...
	SubmissionRefused // rejected by non-SMTP ACL
	SenderVerifyFailed
	AuthFailed
	ProtocolError
	SyntaxError
	SyncError
	TLSError
	NoHostName // the address has no name, or the name no address
	Asked      // ETRN, ATRN, VRFY
	Warned     // Warning: of a warn statement
	Noted      // another remark that names a client: SpamAssassin's, ignoring AUTH=

	// Of a message on its way.
	Delivered          // =>
	DeliveredMore      // ->
	DeliveredThrough   // >> : cut-through
	DeliverySuppressed // *>
	DeliveryFailed     // **
	DeliveryDeferred   // ==
	Completed
	Frozen
	Unfrozen
	Removed // removed, cancelled, or changed by an administrator
	Queued  // no immediate delivery, moved
	RemoteTrouble
	ErrorIgnored
	MessageTrouble // a message with something wrong: its spool file, its addresses

	// Of Exim itself.
	Daemon
	QueueRun
	CommandLine // cwd=... N args: ...
	ListDefer   // DNS list lookup defer
	LookupDefer
	TLSNote
	DKIMNote
	SystemTrouble
	ConfigTrouble
	TransportOutput
	EventNote // of an event_action
	Written   // what the configuration wrote of its own (logwrite, warn): no form that Exim itself writes

	kinds
)

// String names a kind in the words of a report.
func (k Kind) String() string { return kindNames[min(k, kinds)] }

// OfClient reports whether the kind tells of a client.
func (k Kind) OfClient() bool { return k >= Arrived && k <= Noted }

// Rejection reports whether Exim said no, and so wrote the same entry to its reject log too.
func (k Kind) Rejection() bool {
	switch k {
	case Lost, TimedOut, NoMail, RcptDiscarded:
		return false
	}
	return k >= Dropped && k <= SyncError
}

var kindNames = [kinds + 1]string{
	Unknown: "unknown", Arrived: "arrived", ArrivedRefused: "arrived, told that it was refused", Opened: "connection opened",
	Closed: "connection closed by QUIT", Dropped: "connection dropped", Lost: "connection lost", TimedOut: "timed out",
	NoMail: "no MAIL in connection", Refused: "connection refused", ConnectRejected: "rejected at connect",
	HeloRejected: "rejected HELO", MailRejected: "rejected MAIL", RcptRejected: "rejected RCPT", RcptDiscarded: "discarded RCPT",
	DataRejected: "rejected DATA", ScanRejected: "rejected by local_scan", MessageRejected: "rejected message",
	CommandRejected: "rejected command", SubmissionRefused: "rejected local submission", SenderVerifyFailed: "sender verify failed",
	AuthFailed: "login failed", ProtocolError: "protocol error", SyntaxError: "syntax error", SyncError: "synchronization error",
	TLSError: "TLS error", NoHostName: "host lookup failed", Asked: "asked", Warned: "warning", Noted: "remark on a client",
	Delivered: "delivered", DeliveredMore: "delivered, further address", DeliveredThrough: "delivered, cut-through",
	DeliverySuppressed: "delivery suppressed", DeliveryFailed: "delivery failed", DeliveryDeferred: "retry defer",
	Completed: "completed", Frozen: "frozen", Unfrozen: "unfrozen", Removed: "removed or changed", Queued: "queued",
	RemoteTrouble: "trouble with a remote host", ErrorIgnored: "error ignored", MessageTrouble: "trouble with a message",
	Daemon: "daemon", QueueRun: "queue run", CommandLine: "command line", ListDefer: "DNS list defer", LookupDefer: "lookup defer",
	TLSNote: "TLS remark", DKIMNote: "DKIM remark", SystemTrouble: "trouble of the system", ConfigTrouble: "trouble in the configuration",
	TransportOutput: "output of a transport", EventNote: "event", Written: "written by the configuration", kinds: "no kind",
}

// Reason says why a line is no entry of its own.
type Reason uint8

// The reasons.
const (
	Blank        Reason = iota
	Continuation        // belongs to the entry before: headers of a reject entry, the rest of a syslog entry
	Duplicate           // the reject log's or syslog's second copy of an entry
	NoStamp             // text without a time that follows no entry: another file's, a divider
	Binary              // NULs or control characters where a time should be
	UTF16               // of a file in UTF-16, which Exim never writes
	OutOfRange          // looks like a time, but is none: month 13
	Planted             // stands in the name of a folder, in the entry of a command line: a local user wrote it

	reasons
)

// String names a reason in the words of a report.
func (r Reason) String() string {
	return [...]string{"blank", "headers or the rest of an entry", "second copies", "no time stamp", "binary", "UTF-16", "no such time", "planted", "no reason"}[min(r, reasons)]
}
