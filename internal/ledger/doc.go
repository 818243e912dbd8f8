// Package ledger is the memory across connections: what clients and networks have tried, who is banned and at which
// level, and whom an administrator lets in.
//
// Two things are remembered, and they are lost in different ways. Counters are kept in memory, in sliding windows of an
// hour and a day, and saved every minute; kill -9 loses the last minute of them. Bans and entries of an administrator are
// on the disk before they are announced, or the announcement says that they are not; then they are tried again until they
// are.
//
// A sliding window is two buckets. What is counted falls into the present bucket; a full span later it becomes the one
// before, of which as much counts as the window still reaches back into. So a count is off by no more than what the
// bucket before would have if it had come evenly. The first event of a key starts its bucket, so that a count within the
// first span is exact.
//
// A client is one IPv4 address or one IPv6 /64, which is what a customer is given (RFC 6177, RFC 7421); it is counted in
// its /24, or its /56 and /48, as well. Keys have a fixed size and hold no text of a client.
//
// Time does not jump here. An engine counts on from when it was opened by a clock that nobody sets, so that a wall clock
// that is set an hour or ten years ahead frees nobody, and one that is set back bans nobody for longer.
//
// Whoever calls says only what really happened: a connection that is not proven to exist must not come this far.
package ledger
