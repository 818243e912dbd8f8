package metrics

import (
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

// Reading is how the daemon does when it is asked.
type Reading struct {
	Door         acl.Stats
	Seats, Taken int
	Lists        []rbl.ZoneHealth
	DNSAsked     bool // it should be
	DNSUp        bool
	Memory       *ledger.State // nil: nothing is remembered

	Clients, Names, Answers  rbl.Usage // of block lists in entries, and of the DNS in octets; 0 at most: there is none
	Decisions, MostDecisions int       // octets

	Faults   int
	Dropped  uint64    // lines of the log
	Reloaded bool      // the last reload took, or there was none
	Read     time.Time // when the configuration in force was read

	Enforced, Observed, Off []string // names of rules
}

// Metrics are the figures of one daemon in a registry of their own. Make them with New. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	callouts []prometheus.Observer // by stage
	asked    []prometheus.Counter  // by outcome
	answered prometheus.Histogram
}

var _ acl.Observer = (*Metrics)(nil)

// Bounds of the buckets, in seconds. A decision from memory takes 10 us, a callout on a busy machine 1 ms (README). What
// is above 10 ms has waited, for the DNS as a rule: until a budget ended, of 0.2 s at CONNECT and HELO, 1 s at DATA or 1.5 s at
// MAIL and RCPT, each of which is a bound of its own, as is the 3 s at which Exim gives up. A decision that took all its budget
// is a little over it; so the next bound is near.
func calloutBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .2, .25, .5, 1, 1.1, 1.5, 1.6, 3}
}

// dnsBuckets are likewise: a cache beside us answers within 1 ms, the first try is given up after 0.25 to 0.5 s, a client waits
// for 1.5 s and a question ends after 3 s.
func dnsBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 3}
}

// New makes metrics. read is called by one scrape at a time and at most once a second, and must not wait long.
func New(version string, started time.Time, read func() Reading) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry()}
	callouts := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + "callout_duration_seconds", Help: "Time from a request read to its answer written.", Buckets: calloutBuckets(),
	}, []string{"stage"})
	for _, stage := range acl.Stages() {
		for len(m.callouts) <= int(stage) { // a stage that Exim does not have is none of ours
			m.callouts = append(m.callouts, nil)
		}
		m.callouts[stage] = callouts.WithLabelValues(stage.String())
	}
	asked := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "dns_questions_total", Help: "Questions to the DNS by how they ended. What a cache of ours answers is none.",
	}, []string{"outcome"})
	for _, outcome := range outcomes() {
		m.asked = append(m.asked, asked.WithLabelValues(outcome))
	}
	// What a collection leaves: without it nothing tells whether memory grows, since Go fills what it may have.
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}
	m.answered = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: prefix + "dns_answer_duration_seconds", Help: "Time of the questions that a DNS server answered, whatever it said.",
		Buckets: dnsBuckets(),
	})
	for _, c := range []prometheus.Collector{
		callouts, asked, m.answered,
		newFamilies(read, ofDaemon(version, started), ofCallouts(), ofRules(), ofLists(), ofCaches(), ofMemory()),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// prefix begins each name of ours.
const prefix = "eximpolicyd_"

// outcomes are the words for those of package rbl, in its order.
func outcomes() []string {
	return []string{rbl.Unanswered: "unanswered", rbl.Found: "found", rbl.Empty: "empty", rbl.Missing: "missing", rbl.Failed: "failed",
		rbl.Refused: "refused", rbl.TimedOut: "timed_out", rbl.Busy: "busy", rbl.Down: "down"}
}

// Observe takes the time of one callout.
func (m *Metrics) Observe(d *acl.Decision, took time.Duration) {
	if s := int(d.Stage); s < len(m.callouts) && m.callouts[s] != nil {
		m.callouts[s].Observe(took.Seconds())
	}
}

// Ended takes a question to the DNS that has ended.
func (m *Metrics) Ended(o rbl.Outcome, took time.Duration) {
	m.asked[min(int(o), len(m.asked)-1)].Inc()
	switch o {
	case rbl.Found, rbl.Empty, rbl.Missing, rbl.Failed, rbl.Refused:
		m.answered.Observe(took.Seconds())
	}
}
