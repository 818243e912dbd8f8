package metrics

import "eximpolicyd/rbl"

// ofCaches is how full they are, in what their bound is of, and of what use. What is not there, as without the DNS, is absent.
func ofCaches() []family {
	used := func(u rbl.Usage) float64 { return float64(u.Used) }
	most := func(u rbl.Usage) float64 { return float64(u.Most) }
	hits := func(u rbl.Usage) float64 { return float64(u.Hits) }
	misses := func(u rbl.Usage) float64 { return float64(u.Misses) }
	return []family{
		gauge("cache_entries", "Clients and names of which it is known what the block lists said.", eachCache(inEntries, used), "cache"),
		gauge("cache_entries_limit", "How many of them there may be.", eachCache(inEntries, most), "cache"),
		gauge("cache_bytes", "What answers of the DNS, and decisions that can be explained, take in memory.", eachCache(inBytes, used), "cache"),
		gauge("cache_bytes_limit", "What they may take.", eachCache(inBytes, most), "cache"),
		counter("cache_hits_total", "Look-ups of which all was known.", eachCache(lookedUp, hits), "cache"),
		counter("cache_misses_total", "Look-ups that asked the DNS, or waited for what another had asked.", eachCache(lookedUp, misses), "cache"),
	}
}

// cache is one with the word for it.
type cache struct {
	name string
	rbl.Usage
}

func inEntries(r *Reading) []cache { return []cache{{"clients", r.Clients}, {"names", r.Names}} }

func inBytes(r *Reading) []cache {
	return []cache{{"answers", r.Answers}, {"decisions", rbl.Usage{Used: r.Decisions, Most: r.MostDecisions}}}
}

func lookedUp(r *Reading) []cache { return append(inEntries(r), cache{"answers", r.Answers}) }

func eachCache(list func(*Reading) []cache, of func(rbl.Usage) float64) func(*Reading, put) {
	return func(r *Reading, put put) {
		for _, c := range list(r) {
			if c.Most > 0 {
				put(of(c.Usage), c.name)
			}
		}
	}
}
