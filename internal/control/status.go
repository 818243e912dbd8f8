package control

import (
	"fmt"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

// Status is how the daemon does, in the words of status --json.
type Status struct {
	Version string           `json:"version"`
	Started time.Time        `json:"started"`
	Uptime  int64            `json:"uptime_s"`
	Mode    string           `json:"mode"` // the most that any rule does
	Rules   Rules            `json:"rules"`
	DNS     string           `json:"dns"` // asked, off, failed or down
	Outage  rbl.Notice       `json:"-"`   // of a DNS that is down
	Lists   []rbl.ZoneHealth `json:"lists"`
	Door    acl.Stats        `json:"door"`
	Memory  *ledger.State    `json:"memory"` // null: nothing is remembered
	Caches  Caches           `json:"caches"`
	Metrics string           `json:"metrics_fault,omitempty"`   // why they are not served where they should be
	Unsaved string           `json:"decisions_fault,omitempty"` // why the last decisions are not on the disk, where they should be
	Faults  []Fault          `json:"faults"`
}

// Caches are what the daemon could do without: how full they are, and what there is room for in the memory that it may have.
type Caches struct {
	Clients           int    `json:"clients"` // of whom it is known what the lists said; 0 of 0: no list is asked
	MostClients       int    `json:"most_clients"`
	ClientHits        uint64 `json:"client_hits"` // look-ups of which all was known, since the lists were read
	ClientMisses      uint64 `json:"client_misses"`
	Names             int    `json:"names"` // likewise
	MostNames         int    `json:"most_names"`
	NameHits          uint64 `json:"name_hits"`
	NameMisses        uint64 `json:"name_misses"`
	AnswerBytes       int    `json:"answer_bytes"` // of the DNS, about names; likewise
	MostAnswerBytes   int    `json:"most_answer_bytes"`
	AnswerHits        uint64 `json:"answer_hits"`
	AnswerMisses      uint64 `json:"answer_misses"`
	DecisionBytes     int    `json:"decision_bytes"` // of those that can be explained
	MostDecisionBytes int    `json:"most_decision_bytes"`
}

// Rules are the names of the rules by what they do.
type Rules struct {
	Enforced []string `json:"enforced"`
	Observed []string `json:"observed"`
	Off      []string `json:"off"`
}

// Fault is what is wrong now. What was wrong once and is over is no fault.
type Fault struct {
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Fix  string `json:"fix,omitempty"`
}

// The words for the DNS.
const (
	DNSAsked  = "asked"
	DNSOff    = "off"    // as the configuration says
	DNSFailed = "failed" // it should be asked
	DNSDown   = "down"   // it is asked, and answers nobody
)

// Stands returns how the daemon does, with its memory and what is wrong.
func (s *Server) Stands() Status {
	st := s.Status()
	if s.Memory != nil {
		state := s.Memory.State()
		st.Memory = &state
	}
	for _, list := range []*[]string{&st.Rules.Enforced, &st.Rules.Observed, &st.Rules.Off} {
		*list = append([]string{}, *list...) // none is [], not null
	}
	st.Lists = append([]rbl.ZoneHealth{}, st.Lists...)
	st.Faults = st.faults()
	return st
}

// faults are what is wrong, the worst first.
func (st *Status) faults() []Fault {
	faults := []Fault{}
	add := func(what, why, fix string) { faults = append(faults, Fault{what, why, fix}) }
	if bypass := st.Door.Bypass; bypass != "" {
		add("every request is answered with no opinion", "the bypass file stands there: "+bypass, "remove it")
	}
	switch m := st.Memory; {
	case m == nil:
		add("nothing is remembered across connections, and nobody is banned", "the memory could not be opened", "see the daemon's log")
	case m.Fault != "":
		add("what the memory knows is not kept on the disk", m.Fault, m.Fix)
	}
	if n := st.Door.Failed; n > 0 {
		add(fmt.Sprintf("the daemon failed on requests (%d), and had no opinion of them", n),
			"a mistake of ours", "please report it, with the stack that stands in the daemon's log")
	}
	if st.DNS == DNSFailed {
		add("the DNS is not asked, and no rule that needs it has an opinion", "no DNS server is known",
			"write the address of a resolver into dns.servers")
	}
	if st.Unsaved != "" && (st.Memory == nil || st.Memory.Fault == "") { // else it is the same folder
		add("recent decisions are not saved: explain loses them at a restart", st.Unsaved, "see to that; it is tried again every minute")
	}
	if st.Metrics != "" {
		add("the metrics are not served where metrics.listen says", st.Metrics, "see to that, or change metrics.listen, and send SIGHUP")
	}
	if st.DNS == DNSDown {
		add("no list and no rule on DNS counts", st.Outage.Text, st.Outage.Fix)
	}
	for _, h := range st.Lists {
		if h.State == rbl.Untested && st.DNS == DNSDown {
			continue // that is why
		}
		if h.State != rbl.OK {
			add("the list "+h.Zone+" counts nothing: "+h.State.String(), h.Why, h.Fix)
		}
	}
	return faults
}
