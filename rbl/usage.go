package rbl

// Usage is how full is what is remembered, and of what use it has been since it was made. Who is looked up at every stage of a
// connection counts each time.
type Usage struct {
	Used, Most int    // of Lists in rows, of a Resolver in octets
	Hits       uint64 // look-ups of which all was known
	Misses     uint64 // those that asked, or waited for what another had asked
}
