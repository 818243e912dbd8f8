package acl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// moment is one decision with all that was known when it was made, so that it can be made again. Nobody changes it once it
// is in the ring. It holds the configuration of then, and the text of the request, which its strings are pieces of.
type moment struct {
	*Decider
	q        *policy.Request
	f        policy.Facts
	standing ledger.Standing
	onlyWay  bool         // a ban passed the client by, for over half of a day's mail comes from it
	login    time.Time    // the last one that is known in the network of a ban, if that was looked for
	weighed  policy.Score // the sum of what is enforced
	out      Decision
	room     [4]string // for its Rules: where one hits, two or three do

	privacy Privacy
	took    time.Duration
	octets  int // of the request
}

// size is about what a moment holds in memory and nobody else does. Values with escapes are copied out of the text, which
// at most doubles it.
func (m *moment) size() int {
	n := int(unsafe.Sizeof(*m)+unsafe.Sizeof(*m.q)) + 2*m.octets
	answers := len(m.f.Lists.Answers)
	for i := range m.f.NameLists {
		answers += len(m.f.NameLists[i].Report.Answers)
	}
	addresses := len(m.f.HELOAddresses.List) + len(m.f.Hosted.List)
	for _, g := range m.f.Greetings {
		n += len(g.Name)
	}
	if from := m.out.Source; from != nil {
		n += int(unsafe.Sizeof(*from)) + len(from.Shown)
	}
	for _, name := range m.f.PTR.Names {
		n += len(name)
	}
	return n + 96*answers + 24*addresses + 256*len(m.f.Networks) + 32*len(m.out.Rules) + len(m.out.Reason) + len(m.out.Text) + len(m.f.ListText) + len(m.f.Program.Name) + len(m.f.Program.Args)
}

// again makes the decision once more, with what was known then, and with rules changed, if change is given. Nothing is asked,
// counted or banned.
func (m *moment) again(trace bool, change func(*policy.Bound)) Decision {
	d := m.With(m.Rules)
	d.Fault = nil // it has been told
	if change != nil {
		d.Rules = slices.Clone(d.Rules)
		for i := range d.Rules {
			change(&d.Rules[i])
		}
	}
	return d.Decide(context.Background(), m.q, m.f.Now, then{m}, trace)
}

// then is the provider of a moment, and the ledger of then.
type then struct{ *moment }

// Gather fills in what was known, of what costs only what is needed: a rule that asked twice did so without it first.
func (t then) Gather(_ context.Context, needs policy.Need, _ *policy.Request, f *policy.Facts) policy.Need {
	was := &t.f
	f.Interfaces, f.OwnAddresses, f.Relays = was.Interfaces, was.OwnAddresses, was.Relays
	f.EximUID, f.ClientUID, f.OnlyPostmaster = was.EximUID, was.ClientUID, was.OnlyPostmaster
	for _, fact := range []struct {
		need policy.Need
		fill func()
	}{
		{policy.NeedAccount, func() { f.Account = was.Account }},
		{policy.NeedGreetings, func() { f.Greetings = was.Greetings }},
		{policy.NeedLists, func() { f.Lists = was.Lists }},
		{policy.NeedNameLists, func() { f.NameLists = was.NameLists }},
		{policy.NeedPTR | policy.NeedNameLists, func() { f.PTR, f.ClientName = was.PTR, was.ClientName }},
		{policy.NeedHELOAddresses, func() { f.HELOAddresses = was.HELOAddresses }},
		{policy.NeedHosted, func() { f.Hosted = was.Hosted }},
		{policy.NeedListText, func() { f.ListText = was.ListText }},
		{policy.NeedHold, func() { f.Held = was.Held }},
		{policy.NeedProgram, func() { f.Program = was.Program }},
		{policy.NeedTried, func() {
			f.Memory, f.Here, f.Client, f.Networks, f.OnlyWayIn = was.Memory, was.Here, was.Client, was.Networks, was.OnlyWayIn
		}},
	} {
		if needs&fact.need != 0 {
			fact.fill()
		}
	}
	return 0
}

// Start starts nothing.
func (t then) Start(policy.Need, *policy.Request, *policy.Facts) {}

// Proven is as it was.
func (t then) Proven() bool { return !t.out.Synthetic }

// Recall knows what was in force. It is not proven, and so it remembers nothing.
func (t then) Recall() *Recall { return &Recall{ledger: t} }

// Standing returns what was in force.
func (t then) Standing(context.Context, netip.Addr) (ledger.Standing, error) { return t.standing, nil }

// Count knows of the mail of a day only whether over half of it came from the client, and when the last login was.
func (t then) Count(_ context.Context, tallies []ledger.Tally) error {
	if len(tallies) == 0 {
		return nil
	}
	tallies[0].Counts.LastLogin = t.login
	if t.onlyWay {
		tallies[0].Counts.Day.Clean = onlyWayIn
	}
	return nil
}

// Offend bans nobody.
func (t then) Offend(context.Context, ledger.Offence) (ledger.Ban, bool, error) {
	return ledger.Ban{}, false, errors.New("it is over")
}
