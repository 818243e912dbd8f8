// Package policy holds the rules: pure functions that judge one request of Exim.
//
// A mail server learns about a client in stages: it connects, greets (HELO), names a sender (MAIL), a recipient (RCPT)
// and sends a message (DATA). Exim asks at every stage; most rules object at RCPT, when the authenticated user and the
// recipient are known, and those on header fields at DATA.
//
// A [Policy] is one subject (nobody, helo, ptr, rbl, messageid) with its settings; its rules are methods bound to those settings.
// A [Rule] carries its answer under each [Preset] and a [Judge], a function of the request and the facts that can
// neither wait nor fail: what costs something to learn is declared in Rule.Needs and gathered before. The outcome is a
// [Verdict], data in the words of the mail administrator.
//
// There are two kinds of objection. A hard one (deny, defer, drop) decides at once. A soft one adds to a score, in
// tenths of a point; at [RefuseAt] the message is refused, at [MarkAt] it is marked. No soft rule reaches the first
// alone, and no soft policy either: see Policy.Cap. Lists of good senders make the sum less.
//
// What the DNS says is a fact like any other. A lookup that was not answered is unknown, and no rule on a name of the
// client's refuses by itself (RFC 5321 4.1.4): ptr and the DNS rules of helo score. Only rbl, where several lists agree,
// has a threshold of its own.
//
// The zero value is always the one that is right if somebody forgets: a verdict passes, a fact is unknown, a mode
// observes. Unknown never refuses.
//
// To add a policy, write one file with its settings and rules, and add one line to table.go.
package policy
