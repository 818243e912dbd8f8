package acl

import (
	"context"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"eximpolicyd/internal/ledger"
	"eximpolicyd/policy"
)

// Recall is the memory as one request sees it: what this connection has tried, and the ledger across connections. It
// counts nothing of a connection that is not proven, which anybody on this machine can make up. A nil Recall remembers
// nothing and knows nothing. It is for one request, and one goroutine.
type Recall struct {
	ledger  ledger.Ledger
	proven  bool
	here    kept            // what this connection has done
	tallies [2]ledger.Tally // room for those of a good recipient
	room    []ledger.Tally  // more of it, which is used again
}

// kept are the deeds of a connection, which several requests may change. The zero kept is of one that is not known.
type kept struct {
	mu *sync.Mutex
	*deeds
}

// change has f change them. Nothing else can touch them meanwhile.
func (k *kept) change(f func(*deeds)) {
	if k.deeds != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		f(k.deeds)
	}
}

// deeds are what one connection has done. The zero deeds are a new connection's.
type deeds struct {
	here  policy.Here
	bad   bool   // it counts as one that did nothing but bad
	login bool   // its login is counted
	held  bool   // the message at hand is on hold
	named uint16 // the greeting that is counted, hashed
}

// fresh returns room for tallies.
func (r *Recall) fresh() []ledger.Tally {
	if r.room != nil {
		return r.room[:0]
	}
	return r.tallies[:0]
}

// begin begins a message.
func (p *deeds) begin() { p.here.Trapped, p.held = false, false }

// Standing returns what is in force for the client.
func (r *Recall) Standing(ctx context.Context, client netip.Addr) (s ledger.Standing) {
	if r == nil || r.ledger == nil || !client.IsValid() {
		return s
	}
	s, err := r.ledger.Standing(ctx, client)
	if err != nil {
		return ledger.Standing{} // nothing is known against it
	}
	return s
}

// Count counts what a request is an event of, and fills in what is known then: count, then judge.
func (r *Recall) Count(ctx context.Context, q *policy.Request, f *policy.Facts) {
	if r != nil && q.Stage == policy.Mail {
		r.here.change((*deeds).begin)
	}
	if !r.counts(q, f) {
		return
	}
	var add ledger.Delta
	r.here.change(func(p *deeds) {
		add = p.hear(q, f)
		f.Here = p.here
	})
	f.Memory = r.tally(ctx, q.Client, add, f)
}

// counts reports whether this request may be remembered.
func (r *Recall) counts(q *policy.Request, f *policy.Facts) bool {
	return r != nil && r.ledger != nil && r.proven && q.Client.IsValid() && f.Class.Counted()
}

// hear says what a request adds to the client's counts.
func (p *deeds) hear(q *policy.Request, f *policy.Facts) (add ledger.Delta) {
	if q.AuthBy != "" && !p.login {
		p.login, add.Login = true, true
	}
	switch q.Stage {
	case policy.RCPT:
		if name := hash16(q.Greeting.Name); q.HELO.Known && name != p.named {
			p.named, add.Seen = name, name
		}
		p.guess(q, f, &add)
	case policy.Data:
		if p.here.Trapped && q.ListID == "" && q.Sender.Value != "" {
			add.Trapped = 1
		}
	case policy.Quit, policy.NotQuit:
		add.Failed = uint16(failedLogins(q))
		p.here.Failed = int(add.Failed)
	}
	return add
}

// guess counts a recipient of ours that Exim refused for good.
func (p *deeds) guess(q *policy.Request, f *policy.Facts, add *ledger.Delta) {
	switch {
	case q.Verify != policy.VerifyUnknown || f.Class == policy.Auth:
	case q.Sender.Value == "":
		p.here.NullBad++
	default:
		p.here.Bad++
		add.Bad = 1
		if p.here.Good == 0 && !p.bad {
			p.bad, add.OnlyBad = true, 1
		}
	}
}

// failedLogins counts the AUTH commands in Exim's list of the last 20, less one that succeeded.
func failedLogins(q *policy.Request) int {
	n := 0
	for command := range strings.SplitSeq(q.History, ",") {
		if strings.TrimSpace(command) == "AUTH" {
			n++
		}
	}
	if (q.AuthAs != "" || q.AuthBy != "") && n > 0 { // not every authenticator sets an id
		n--
	}
	return n
}

// Offence makes this connection one that did nothing but bad, whatever else it did, and counts it, once.
// A bounce is nobody's offence.
func (r *Recall) Offence(ctx context.Context, q *policy.Request, f *policy.Facts) {
	if !r.counts(q, f) || q.Sender.Value == "" {
		return
	}
	var add ledger.Delta
	r.here.change(func(p *deeds) {
		p.here.Offended = true
		if !p.bad {
			p.bad, add.OnlyBad = true, 1
		}
		f.Here = p.here
	})
	f.Memory = r.tally(ctx, q.Client, add, f)
}

// Trap remembers that the message at hand is addressed to a trap.
func (r *Recall) Trap(q *policy.Request, f *policy.Facts) {
	if r.counts(q, f) {
		r.here.change(func(p *deeds) { p.here.Trapped = true })
	}
}

// Pass counts what nobody objected to: a good recipient, or a clean message.
func (r *Recall) Pass(ctx context.Context, q *policy.Request, f *policy.Facts) {
	if r == nil || r.ledger == nil || !r.proven || !q.Client.IsValid() {
		return
	}
	switch {
	case q.Stage == policy.Data && f.Class != policy.Loopback && f.Class != policy.Auth:
		r.clean(ctx, q.Client)
	case q.Stage == policy.RCPT && q.Verify == policy.VerifyOK && f.Class.Counted():
		var add ledger.Delta
		r.here.change(func(p *deeds) { add = p.good() })
		r.tally(ctx, q.Client, add, nil)
	}
}

// good counts a recipient that exists.
func (p *deeds) good() (add ledger.Delta) {
	p.here.Good++
	add.Good = 1
	if p.bad && !p.here.Offended {
		p.bad, add.OnlyBad = false, -1
	}
	return add
}

// clean counts a message that nobody objected to, for its client and of all.
func (r *Recall) clean(ctx context.Context, client netip.Addr) {
	one := ledger.Delta{Clean: 1}
	keys, n := ledger.Keys(client)
	tallies := append(r.fresh(), ledger.Tally{Key: keys[0], Add: one, Blind: true}, ledger.Tally{Key: ledger.Total, Add: one, Blind: true})
	for _, k := range keys[1:n] {
		tallies = append(tallies, ledger.Tally{Key: k, Add: one, Blind: true})
	}
	_ = r.ledger.Count(ctx, tallies) // what is not counted is not known, which shields nobody
}

// Held counts a message that is about to be put on hold, once, and returns how many of an account there are. What can't be
// counted is more than may be. One of a connection that is not proven is not counted: it may be a copy of somebody else's,
// and Exim then holds nothing.
func (r *Recall) Held(ctx context.Context, q *policy.Request, f *policy.Facts) policy.Maybe[int] {
	uid := q.UID
	if q.Client.IsValid() {
		uid = f.ClientUID
	}
	if r == nil || r.ledger == nil || !uid.Known {
		return policy.Known(math.MaxInt)
	}
	t := []ledger.Tally{{Key: ledger.Account(strconv.FormatUint(uint64(uid.Value), 10)), Add: ledger.Delta{Held: 1}}}
	r.here.change(func(p *deeds) {
		if p.held {
			t[0].Add = ledger.Delta{}
		}
		p.held = true
	})
	if q.Client.IsValid() && !r.proven {
		t[0].Add = ledger.Delta{}
	}
	if err := r.ledger.Count(ctx, t); err != nil {
		return policy.Known(math.MaxInt)
	}
	return policy.Known(t[0].Counts.Hour.Held)
}

// OnlyWayIn reports whether over half of the mail of the last day came from a client.
func (r *Recall) OnlyWayIn(ctx context.Context, client netip.Addr) bool {
	if r == nil || r.ledger == nil || !client.IsValid() {
		return false
	}
	keys, _ := ledger.Keys(client)
	one := append(r.fresh(), ledger.Tally{Key: keys[0]})
	if r.ledger.Count(ctx, one) != nil || one[0].Counts.Day.Clean < onlyWayIn { // most bring none
		return false
	}
	all := [1]ledger.Tally{{Key: ledger.Total}}
	return r.ledger.Count(ctx, all[:]) == nil && mostOf(&one[0].Counts, &all[0].Counts)
}

// LastLogin returns when somebody of a network logged in last, zero if nobody is known to have. known is false if the memory
// does not say.
func (r *Recall) LastLogin(ctx context.Context, of netip.Prefix) (at time.Time, known bool) {
	if r == nil || r.ledger == nil {
		return at, false
	}
	one := append(r.fresh(), ledger.Tally{Key: ledger.Of(of)})
	if r.ledger.Count(ctx, one) != nil {
		return at, false
	}
	return one[0].Counts.LastLogin, true
}

// mostOf says so by the counts of a client and of all.
func mostOf(client, all *ledger.Counts) bool {
	return client.Day.Clean >= onlyWayIn && 2*client.Day.Clean > all.Day.Clean
}

// Ban bans a network of the client's.
func (r *Recall) Ban(ctx context.Context, o ledger.Offence, q *policy.Request, f *policy.Facts) (ban ledger.Ban, made bool) {
	if !r.counts(q, f) {
		return ban, false
	}
	if !o.Network.IsValid() {
		o.Network = ledger.Client(q.Client)
	}
	ban, made, err := r.ledger.Offend(ctx, o)
	return ban, made && err == nil
}

// onlyWayIn is from how many messages of a day on a client that brings over half of all is taken for the only way in.
const onlyWayIn = 20

// tally adds to the counts of a client, and of its networks what matters there. It fills in the facts, if there are any to
// fill in, and reports whether they are known. Networks, and all mail, are looked at only where somebody did something
// bad: of a good recipient, which most are, no rule asks them.
func (r *Recall) tally(ctx context.Context, client netip.Addr, add ledger.Delta, f *policy.Facts) bool {
	wide := add
	wide.OnlyBad, wide.Seen, wide.Trapped = 0, 0, 0
	bad := add.Bad > 0 || add.Failed > 0
	keys, n := ledger.Keys(client)
	tallies := append(r.fresh(), ledger.Tally{Key: keys[0], Add: add, Blind: f == nil})
	networks := keys[1:n]
	if wide == (ledger.Delta{}) {
		networks = nil
	}
	for _, k := range networks {
		if bad {
			of, _ := k.Prefix()
			wide.Seen = ledger.Member(client, of)
		}
		tallies = append(tallies, ledger.Tally{Key: k, Add: wide, Blind: f == nil})
	}
	doubtful := f != nil && (bad || f.Here.Offended || f.Here.Trapped)
	if doubtful {
		tallies = append(tallies, ledger.Tally{Key: ledger.Total})
	}
	if err := r.ledger.Count(ctx, tallies); err != nil {
		return false
	}
	if f == nil {
		return true
	}
	f.Client = triedOf(&tallies[0].Counts)
	f.OnlyWayIn = doubtful && mostOf(&tallies[0].Counts, &tallies[len(tallies)-1].Counts)
	if networks != nil { // else what has been found out of them stays: an offence counts at the client alone
		f.Networks = make([]policy.Network, 0, len(networks))
	}
	for i, k := range networks {
		of, _ := k.Prefix()
		factor := 3
		if of.Bits() == 48 {
			factor = 9
		}
		f.Networks = append(f.Networks, policy.Network{Prefix: of, Factor: factor, Tried: triedOf(&tallies[1+i].Counts)})
	}
	return true
}

func triedOf(c *ledger.Counts) policy.Tried {
	return policy.Tried{
		Good: c.Hour.Good, Bad: c.Hour.Bad, OnlyBad: c.Hour.OnlyBad, Failed: c.Hour.Failed, Seen: c.Hour.Seen,
		DayGood: c.Day.Good, DayBad: c.Day.Bad, Clean: c.Day.Clean, Trapped: c.Day.Trapped, LastLogin: c.LastLogin,
	}
}

// hash16 makes of a text a number that is not 0: FNV-1a, folded.
func hash16(text string) uint16 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return max(uint16(h>>16^h), 1)
}
