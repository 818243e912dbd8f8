// Package rbl asks DNS lists about clients and names, and tells a listing from everything else that comes back. It is
// usable without the rest of eximpolicyd.
//
// # The protocol (RFC 5782)
//
// A list is a DNS zone. To ask it about 192.0.2.99, the octets are reversed and put in front of the zone,
// 99.2.0.192.zen.spamhaus.org, and the A records of that name are looked up; of an IPv6 address, the 32 nibbles are
// (2.4). A list of names is asked for the name as it is, mail.example.com.dbl.spamhaus.org (3). If the name does not
// exist, the subject is not listed. If it does, it is, and each address is a code that says why: 127.b.c.d, of which
// 127.0.0.2 is what a list with one reason answers. A TXT record may say more, for people. Lists of good senders work
// the same way, and only the reader knows which are which.
//
// # How lists really fail
//
// RFC 5782 says what to do with an answer, and every answer there is a listing or none. In the field most of what goes
// wrong looks like a listing:
//
//   - A list that refuses to answer says so with an address: 127.255.255.254 for a question through a public resolver,
//     .255 for one too many, .252 for a name mistyped; others use 127.0.0.1, or a bit of their mask. A mail server that
//     takes any address for a listing refuses all mail from then on.
//   - The domain of a list runs out, and whoever gets it answers every name with his web server.
//   - An operator who is fed up lists the world, to be rid of those who still ask.
//   - A resolver, or the provider behind it, answers names that do not exist with an address of its own.
//   - A list is emptied. Nothing looks wrong; it just never lists anybody again.
//   - A list, or a resolver, does not answer, and the mail waits.
//
// So an address counts as a listing (Listed) only if it is in 127.0.0.0/8, is not in 127.255.255.0/24, is not 127.0.0.1
// unless the list is known to mean something by it, and is a code that the list declares; see Zone.Read. One address that
// is a fault spoils the whole answer. A code that nobody declared scores nothing and is told to the log. What is neither
// Listed nor Clear is Unknown: not asked, not answered in time, a fault, or a zone in bad health. Unknown scores nothing,
// and never refuses anybody.
//
// And no zone scores before it has passed its own test (RFC 5782 5): 127.0.0.2 must be listed and 127.0.0.1 must not,
// of IPv6 ::FFFF:7F00:2 and ::FFFF:7F00:1, of names TEST and INVALID. The states of a zone are OK, which alone scores,
// and ErrorCode, Inert, World, Hijacked, Timeout and Untested, which are the failures above in one word each.
//
// # What a listing is worth
//
// Codes and weights are written as Postfix's postscreen writes them, so that its lines can be pasted:
//
//	zen.spamhaus.org=127.0.0.[2..11]*5
//
// A weight is a Score in tenths, from -99.9 to 99.9; it is negative of a list of good senders. Of one zone every weight
// counts that a code fits, once however many codes do (Zone.Weigh), and of one operator only the highest of what his
// zones come to and the lowest below zero (Report.Score): an address that is on four lists of one house is known to one
// house. What an entry leaves out comes from the catalogue of known lists; a list that has ended is refused with how it
// ended.
//
// A customer's key is part of a zone's name, KEY.zen.dq.spamhaus.net. Zone.Name, Entry.Zone and Entry.MarshalText have
// it; everything else shows the name with the key masked.
//
// # Bounds
//
// A list of zones has at most MaxZones of a kind. Of one answer MaxAddresses addresses, MaxNames names and MaxText octets
// of text are kept, whatever a zone sends. A question ends after three seconds, and at most 64 names that a client chose
// are looked up at a time.
//
// # How to use it
//
// ParseZones, or Zones with Default, says which lists; NewResolver and NewLists take it from there. Run Lists.Run in a
// goroutine, ask with Lists.Check and Lists.CheckName, and read Report.Score. All zones are asked at once, and the context
// says how long to wait: the answers that came count, the others are Unknown and go on into the cache. A context that has
// ended starts the questions and waits for none. The example of the package is a whole program.
package rbl
