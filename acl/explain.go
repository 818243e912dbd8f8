package acl

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
	"eximpolicyd/rbl"
)

// Explanation is everything about one decision, in the words of explain --json. Addresses of people stand in it as in the log,
// and words of the client's as they came: escape them before you show them.
type Explanation struct {
	ID        string     `json:"id"`
	Time      time.Time  `json:"time"`
	Took      int64      `json:"us"`
	Stage     string     `json:"stage"`
	Client    netip.Addr `json:"client,omitzero"`
	Action    string     `json:"action"`
	Code      string     `json:"code,omitempty"`
	Rule      string     `json:"rule,omitempty"`
	Would     string     `json:"would,omitempty"`
	Text      string     `json:"text,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Rules     []string   `json:"rules"`
	Score     rbl.Score  `json:"score"`    // of all that hit
	Enforced  rbl.Score  `json:"enforced"` // of what is enforced, which refuses and marks
	Mark      bool       `json:"mark"`
	Delay     int        `json:"delay,omitempty"`
	Class     string     `json:"class"`
	Owner     string     `json:"client_uid,omitempty"` // of the other end of a connection from this machine
	Synthetic bool       `json:"synthetic"`
	Degraded  bool       `json:"degraded"`
	Again     string     `json:"again,omitempty"` // how what follows differs from what was decided, and why it may

	Inputs  map[string]string `json:"inputs"` // as check takes them
	Trace   []Step            `json:"trace"`
	DNS     []Heard           `json:"dns,omitempty"`
	Memory  []Counted         `json:"memory,omitempty"`
	Allowed *ledger.Allowed   `json:"allowed,omitempty"` // in force then
	Bans    []ledger.Ban      `json:"bans,omitempty"`    // likewise
	Made    []ledger.Ban      `json:"made,omitempty"`    // by this decision
	Changes []Change          `json:"changes,omitempty"` // what would have changed it
}

// Heard is what the DNS said, or did not say in time.
type Heard struct {
	Asked  string    `json:"asked"` // a list, or what kind of records
	Of     string    `json:"of"`
	Said   string    `json:"said"`            // listed, clear, unknown; of a PTR as package rbl has it; found, unknown
	What   []string  `json:"what,omitempty"`  // codes, names or addresses
	Score  rbl.Score `json:"score,omitempty"` // of a listing
	TTL    int64     `json:"ttl_s,omitempty"` // seconds that were left of it then; of what took several questions, of all of them
	Source string    `json:"source,omitempty"`
	Age    int64     `json:"age_s,omitempty"`  // of what the cache had: seconds since it was answered, of the oldest
	Server string    `json:"server,omitempty"` // that answered; none if several did
	Why    string    `json:"why,omitempty"`    // why it is unknown
}

// Where an answer came from, in Heard.Source.
const (
	FromCache  = "cache"  // it was known, or asked for at an earlier stage
	FromServer = "server" // this decision waited for it
)

// from says where an answer came from and for how long it holds, if there was one.
func (h Heard) from(o rbl.Origin, cached bool) Heard {
	if o.TTL <= 0 {
		return h
	}
	h.TTL, h.Source = int64(o.TTL/time.Second), FromServer
	if cached {
		h.Source, h.Age = FromCache, int64(o.Age/time.Second)
	}
	if o.Server.IsValid() {
		h.Server = o.Server.String()
	}
	return h
}

// Counted is what was counted of the connection, the client or a network around it.
type Counted struct {
	Of        string    `json:"of"`
	Good      int       `json:"good,omitempty"` // within an hour, of the connection since it is there
	Bad       int       `json:"bad,omitempty"`
	NullBad   int       `json:"null_bad,omitempty"`
	OnlyBad   int       `json:"only_bad,omitempty"`
	Failed    int       `json:"failed,omitempty"`
	Seen      int       `json:"seen,omitempty"`
	DayGood   int       `json:"day_good,omitempty"`
	DayBad    int       `json:"day_bad,omitempty"`
	Clean     int       `json:"day_clean,omitempty"`
	Trapped   int       `json:"day_trapped,omitempty"`
	Offended  bool      `json:"offended,omitempty"`
	LastLogin time.Time `json:"last_login,omitzero"`
}

// IsOf reports whether a decision was about a client in a network.
func (x *Explanation) IsOf(p netip.Prefix) bool { return p.Contains(x.Client) }

// IsOfAccount reports whether a decision was about who goes by a login name, or by a uid of this machine.
func (x *Explanation) IsOfAccount(name string) bool {
	login := x.Inputs["sasl_username"]
	return login != "" && (login == name || login == Hashed.address(name)) ||
		x.Owner == name && name != "" || !x.Client.IsValid() && x.Inputs["uid"] == name && name != ""
}

// explain judges once more, with what was known then, and tells every step.
func (m *moment) explain() Explanation {
	again, d := m.again(true, nil), &m.out
	x := Explanation{
		ID: d.ID, Time: m.f.Now.UTC(), Took: m.took.Microseconds(), Stage: d.Stage.String(), Client: m.q.Client,
		Action: d.Action.String(), Code: d.Code, Rule: d.Rule, Would: d.Would.String(), Text: d.Text, Reason: m.privacy.reason(d.Reason),
		Rules: d.Rules, Score: d.Score, Enforced: m.weighed, Mark: d.Mark, Delay: d.Delay, Class: d.Class.String(),
		Synthetic: d.Synthetic, Degraded: d.Degraded, Again: d.differs(&again),
		Inputs: m.inputs(), Trace: again.Trace, DNS: m.heard(), Memory: m.counted(), Made: d.Bans,
		Allowed: m.standing.Allowed, Changes: m.changes(&again),
	}
	if m.f.ClientUID.Known {
		x.Owner = strconv.FormatUint(uint64(m.f.ClientUID.Value), 10)
	}
	for i := range x.Trace {
		x.Trace[i].Why = m.privacy.reason(x.Trace[i].Why)
	}
	for _, b := range []*ledger.Ban{m.standing.Enforced, m.standing.Observed} {
		if b != nil {
			x.Bans = append(x.Bans, *b)
		}
	}
	return x
}

// differs says whether the same facts led to something else when all of them were there at once.
func (d *Decision) differs(again *Decision) string {
	if d.Action == again.Action && d.Code == again.Code && d.Rule == again.Rule && d.Would == again.Would && d.Score == again.Score &&
		d.Mark == again.Mark && d.Delay == again.Delay && d.Class == again.Class && slices.Equal(d.Rules, again.Rules) {
		return ""
	}
	return "what follows is judged with all that was known in the end, which is " + again.outcome() + ": a fact came while it was judged"
}

// outcome says in a few words what was decided.
func (d *Decision) outcome() string {
	switch by := " by " + d.Rule; {
	case d.Action == policy.Delay:
		return "a delay of " + strconv.Itoa(d.Delay) + " s" + by
	case d.Action != policy.Dunno:
		return policy.Answer{Action: d.Action, Code: d.Code}.String() + by
	case d.Mark:
		return "no opinion, and marked, score " + d.Score.String()
	case d.Would != would(policy.Dunno):
		return "no opinion, would " + d.Would.String() + by
	}
	return "no opinion, score " + d.Score.String()
}

// inputs are the request with the names of the protocol, and addresses of people as the log has them.
func (m *moment) inputs() map[string]string {
	inputs := make(map[string]string)
	for _, p := range Pairs(m.q) {
		inputs[p.Name] = m.privacy.input(p.Name, p.Value)
	}
	return inputs
}

// input returns a value of the request as the log may have it: what is an address of somebody's, and what may hold one.
func (p Privacy) input(name, value string) string {
	switch name {
	case "sender", "recipient", "remote_first", "sasl_username", "auth_fail_id":
		return p.address(value)
	}
	if strings.IndexByte(value, '@') >= 0 {
		return p.address(value)
	}
	return value
}

// heard is what the DNS said of the facts that were looked up.
func (m *moment) heard() (list []Heard) {
	f := &m.f
	if p := f.PTR; m.q.ClientName == "" && (p.Status != rbl.PTRUnknown || p.Note != "" || p.Late) {
		h := Heard{Asked: "PTR", Of: m.q.Client.String(), Said: p.Status.String(), What: p.Names, Why: lateOr(p.Late, p.Note)}
		list = append(list, h.from(p.Origin, p.Age > 0))
	}
	list = append(list, heardOf("A, AAAA", m.q.Greeting.Name, &f.HELOAddresses)...)
	list = append(list, heardOf("A, AAAA, MX", f.Own.DomainOf(m.q.Greeting.Name), &f.Hosted)...)
	reports := []rbl.Report{f.Lists}
	for _, n := range f.NameLists {
		reports = append(reports, n.Report)
	}
	for _, r := range reports {
		for i := range r.Answers {
			list = append(list, heardFrom(&r.Answers[i], r.Subject))
		}
	}
	return list
}

func heardOf(asked, of string, a *policy.Addresses) []Heard {
	h := Heard{Asked: asked, Of: of, Said: "found", What: wordsOf(a.List)}
	switch {
	case of == "" || !a.Known && len(a.List) == 0:
		return nil
	case !a.Known:
		h.Said, h.Why = "unknown", "not every lookup was answered, or there is more"
	case len(a.List) == 0:
		h.Said = "nothing"
	}
	return []Heard{h.from(a.Origin, a.Age > 0)}
}

func heardFrom(a *rbl.Answer, of string) Heard {
	h := Heard{Asked: a.Zone.Public, Of: of, Said: a.Status.String(), What: wordsOf(a.Codes), Score: a.Score(), Why: a.Why}
	return h.from(rbl.Origin{TTL: a.TTL, Age: a.Age, Server: a.Server}, a.Cached)
}

// wordsOf writes each of a list.
func wordsOf[T interface{ String() string }](list []T) (words []string) {
	for _, t := range list {
		words = append(words, t.String())
	}
	return words
}

func lateOr(late bool, note string) string {
	if late && note == "" {
		return "no answer in time"
	}
	return note
}

// counted is what was counted, if the memory was asked.
func (m *moment) counted() []Counted {
	f := &m.f
	if !f.Memory {
		return nil
	}
	of := func(who string, t *policy.Tried) Counted {
		return Counted{Of: who, Good: t.Good, Bad: t.Bad, OnlyBad: t.OnlyBad, Failed: t.Failed, Seen: t.Seen,
			DayGood: t.DayGood, DayBad: t.DayBad, Clean: t.Clean, Trapped: t.Trapped, LastLogin: t.LastLogin}
	}
	h := &f.Here
	list := []Counted{
		{Of: "this connection", Good: h.Good, Bad: h.Bad, NullBad: h.NullBad, Failed: h.Failed, Offended: h.Offended},
		of(ledger.Client(m.q.Client).String(), &f.Client),
	}
	for i := range f.Networks {
		list = append(list, of(f.Networks[i].Prefix.String(), &f.Networks[i].Tried))
	}
	return list
}
