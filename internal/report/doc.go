// Package report replays Exim's logs through a configuration and reports what it would have done: above all which mail that
// was really taken would have been refused.
//
// # How
//
// Entries become connections (package mainlog), connections become the requests that Exim would have sent (requests.go), and
// these are judged by the decider of serve, with a memory of their own that goes by the time of the log. Nothing is judged
// connection by connection: bans and windows depend on what others of a network do meanwhile, so the events of all connections
// are judged in the order of their times (order.go). Within a second, the connection that began first goes first.
//
// Two worlds are played. In the first every rule that is on is enforced: a client that is dropped says no more in this
// connection, one that is banned is not counted while it is, as it would really be. It tells what enforcing would do, and is
// what is reported; a hit of one rule is told whatever another decided, but whom a ban refuses no rule is asked about. A message
// that was taken and would be refused is judged once more without the ban and without the earlier refusal (alone.go): no rule
// that would hit it is suggested to be enforced, and an exemption only where it helps. The second world has the modes as they
// are, and tells only how much is refused with them. What the log's clients would have done instead, when refused, nobody knows.
//
// # What a log does not tell
//
// It is unknown, and what is unknown refuses nobody (unjudged.go). A log never tells which clients are in Exim's
// relay_from_hosts, so their mail is judged like a stranger's: where it would be refused, an exemption is suggested, which
// Exim's word would have given. Entries that may be of two clients are held against nobody. Each recipient and message is
// judged by the greeting and the login of its own entry: behind one address there may be several clients. Where neither port
// nor process tell connections apart, rules that count within one connection are off, and so are rules that a header field
// excuses from where the header is not known.
//
// # Bounds
//
// The connections that are open at one moment of the log (mainlog.Sessions), the memory's counters, and lists of those who
// stand out: 8,192 clients, 4,096 networks, 512 senders, 400 days. What falls out of a list is counted as others; somebody who
// fell out and comes again is counted anew, so that the figures of a place in a full list may be too low, those of the sums
// never are.
package report
