package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naive is what an engine shall be, said in the plainest way: three lists of bans and one of allowed networks.
type naive struct {
	bans map[id]Ban
	lets map[netip.Prefix]Allowed
}

func (m *naive) forget(now time.Time) {
	long := func(until time.Time) bool { return !until.IsZero() && !now.Before(until.Add(Remembered)) }
	maps.DeleteFunc(m.bans, func(_ id, b Ban) bool { return long(b.Until) })
	maps.DeleteFunc(m.lets, func(_ netip.Prefix, a Allowed) bool { return long(a.Until) })
}

func (m *naive) offend(o Offence, now time.Time) (Ban, bool) {
	c := observed
	if o.Enforced {
		c = enforced
		if b, ok := m.bans[id{banned, o.Network}]; ok && b.Active(now) {
			return b, false
		}
	}
	last, ok := m.bans[id{c, o.Network}]
	if ok && last.Active(now) {
		return last, false
	}
	level := 1
	if ok {
		level = min(1+last.LevelLeft(now), MaxLevel)
	}
	b := Ban{Network: o.Network, Level: level, Enforced: o.Enforced, Rule: o.Rule, Because: o.Because, Made: now, Until: now.Add(Length(level)), Durable: true}
	m.bans[id{c, o.Network}] = b
	return b, true
}

// standing sorts all that is in force by strength.
func (m *naive) standing(a netip.Addr, now time.Time) (s Standing) {
	strength := func(x, y Ban) int {
		admin := cmp.Compare(btoi(y.Level == 0), btoi(x.Level == 0))
		ever := cmp.Compare(btoi(y.Until.IsZero()), btoi(x.Until.IsZero()))
		return cmp.Or(admin, cmp.Compare(y.Level, x.Level), ever, y.Until.Compare(x.Until), cmp.Compare(y.Network.Bits(), x.Network.Bits()))
	}
	for want, to := range map[bool]**Ban{true: &s.Enforced, false: &s.Observed} {
		var in []Ban
		for _, b := range m.bans {
			if b.Enforced == want && b.Active(now) && b.Network.Contains(a) {
				in = append(in, b)
			}
		}
		if len(in) > 0 {
			slices.SortFunc(in, strength)
			*to = &in[0]
		}
	}
	for _, let := range m.lets {
		if let.Network.Contains(a) && (let.Until.IsZero() || now.Before(let.Until)) && (s.Allowed == nil || let.Network.Bits() > s.Allowed.Network.Bits()) {
			s.Allowed = &let
		}
	}
	return s
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// machine drives an engine and the model side by side.
type machine struct {
	e     *Engine
	m     naive
	hands *hands
	dir   string
	ctx   context.Context
}

var networks = []netip.Prefix{
	prefix("192.0.2.1"), prefix("192.0.2.2"), prefix("192.0.2.0/24"), prefix("192.0.0.0/16"), prefix("2001:db8::/64"), prefix("2001:db8::/48"), prefix("2001:db8::1"),
}

func TestAnEngineIsLikeItsModelAcrossRestartsAndCrashes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		k := &machine{hands: newHands(), dir: filepath.Join(root, fmt.Sprint(runs)), m: naive{map[id]Ban{}, map[netip.Prefix]Allowed{}}, ctx: context.Background()}
		defer os.RemoveAll(k.dir)
		k.open(t)
		defer func() { k.e.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"offend": func(t *rapid.T) {
				o := Offence{Network: rapid.SampledFrom(networks).Draw(t, "network"), Enforced: rapid.Bool().Draw(t, "enforced"), Rule: "a.b", Because: "c"}
				b, made, err := k.e.Offend(k.ctx, o)
				if want, wantMade := k.m.offend(o, k.e.Now()); err != nil || b != want || made != wantMade {
					t.Fatalf("%+v, %t, %v; wanted %+v, %t", b, made, err, want, wantMade)
				}
			},
			"ban": func(t *rapid.T) {
				b := Ban{Network: rapid.SampledFrom(networks).Draw(t, "network"), Until: k.until(t)}
				got, err := k.e.Ban(k.ctx, b)
				b.Enforced, b.Rule, b.Made, b.Durable = true, Admin, k.e.Now(), true
				if err != nil || got != b {
					t.Fatalf("%+v, %v; wanted %+v", got, err, b)
				}
				k.m.bans[id{banned, b.Network}] = b
			},
			"unban": func(t *rapid.T) {
				p := rapid.SampledFrom(networks).Draw(t, "network")
				var want []Ban
				for _, c := range []class{banned, enforced, observed} {
					if b, ok := k.m.bans[id{c, p}]; ok {
						want = append(want, b)
						delete(k.m.bans, id{c, p})
					}
				}
				if got, err := k.e.Unban(k.ctx, p); err != nil || !slices.Equal(got, want) {
					t.Fatalf("%+v, %v; wanted %+v", got, err, want)
				}
			},
			"allow": func(t *rapid.T) {
				a := Allowed{Network: rapid.SampledFrom(networks).Draw(t, "network"), Until: k.until(t)}
				got, err := k.e.Allow(k.ctx, a)
				a.Made, a.Durable = k.e.Now(), true
				if err != nil || got != a {
					t.Fatalf("%+v, %v; wanted %+v", got, err, a)
				}
				k.m.lets[a.Network] = a
			},
			"disallow": func(t *rapid.T) {
				p := rapid.SampledFrom(networks).Draw(t, "network")
				_, want := k.m.lets[p]
				if got, err := k.e.Disallow(k.ctx, p); err != nil || got != want {
					t.Fatalf("%t, %v; wanted %t", got, err, want)
				}
				delete(k.m.lets, p)
			},
			"forget": func(t *rapid.T) {
				p := rapid.SampledFrom(networks).Draw(t, "network")
				within := func(q netip.Prefix) bool { return q.Bits() >= p.Bits() && p.Contains(q.Addr()) }
				bans, lets := len(k.m.bans), len(k.m.lets)
				maps.DeleteFunc(k.m.bans, func(i id, _ Ban) bool { return within(i.network) })
				maps.DeleteFunc(k.m.lets, func(q netip.Prefix, _ Allowed) bool { return within(q) })
				want := Forgotten{Bans: bans - len(k.m.bans), Allowed: lets - len(k.m.lets)}
				if got, err := k.e.Forget(k.ctx, p); err != nil || got.Bans != want.Bans || got.Allowed != want.Allowed {
					t.Fatalf("%+v, %v; wanted %+v", got, err, want)
				}
			},
			"pass":    k.pass,
			"restart": func(t *rapid.T) { k.close(t); k.hands.pass(k.span(t) / 10); k.open(t) },
			"crash":   k.crash,
			"":        k.check,
		})
	})
}

// pass lets time pass, and has it saved as every hour: a crash is never later.
func (k *machine) pass(t *rapid.T) {
	k.hands.pass(k.span(t))
	k.e.mu.Lock()
	change := k.e.saver.change()
	k.e.mu.Unlock()
	if !k.e.settle(k.ctx, change) {
		t.Fatal("the time is not saved")
	}
}

// span is a time of which there are short and long ones.
func (k *machine) span(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 59 * time.Minute, time.Hour, 4 * time.Hour, 25 * time.Hour, 8 * 24 * time.Hour, 31 * 24 * time.Hour}).Draw(t, "span")
}

func (k *machine) until(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "for ever") {
		return time.Time{}
	}
	return k.e.Now().Add(k.span(t))
}

func (k *machine) open(t *rapid.T) {
	e, err := Open(Options{Dir: k.dir, Clock: k.hands.read})
	if err != nil {
		t.Fatal(err)
	}
	k.e = e
}

func (k *machine) close(t *rapid.T) {
	if err := k.e.Close(); err != nil {
		t.Fatal(err)
	}
}

// crash goes on with a copy of the folder as it is, as after kill -9.
func (k *machine) crash(t *rapid.T) {
	copied := strings.TrimSuffix(k.dir, "+") + "+"
	if copied == k.dir {
		copied = strings.TrimSuffix(k.dir, "+")
	}
	if err := os.CopyFS(copied, os.DirFS(k.dir)); err != nil {
		t.Fatal(err)
	}
	k.close(t)
	os.RemoveAll(k.dir)
	k.dir = copied
	k.open(t)
}

func (k *machine) check(t *rapid.T) {
	now := k.e.Now()
	k.m.forget(now)
	byPlace := func(a, b Ban) int {
		return cmp.Or(a.Network.Compare(b.Network), cmp.Compare(entryOf(&a).class, entryOf(&b).class))
	}
	if got, want := k.e.Bans(), slices.SortedFunc(maps.Values(k.m.bans), byPlace); !slices.Equal(got, want) {
		t.Fatalf("bans are\n%+v, not\n%+v", got, want)
	}
	byNetwork := func(a, b Allowed) int { return a.Network.Compare(b.Network) }
	if got, want := k.e.Allows(), slices.SortedFunc(maps.Values(k.m.lets), byNetwork); !slices.Equal(got, want) {
		t.Fatalf("allowed are\n%+v, not\n%+v", got, want)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.77", "192.0.99.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:9::1", "203.0.113.1"} {
		addr := netip.MustParseAddr(a)
		got, err := k.e.Standing(k.ctx, addr)
		want := k.m.standing(addr, now)
		if err != nil || !equal(got.Enforced, want.Enforced) || !equal(got.Observed, want.Observed) || !equal(got.Allowed, want.Allowed) {
			t.Fatalf("%s: %+v, not %+v", a, got, want)
		}
	}
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }
