package rbl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// said is what the model knows of one answer of one zone.
type said struct {
	what  what
	codes []Code
	until time.Time
	at    time.Time
	by    uint8
}

// TestTheRowsKeepWhatAMapWithAClockWouldKeep plays answers, changes of state and time against a map of single answers.
func TestTheRowsKeepWhatAMapWithAClockWouldKeep(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		zones := make([]*Zone, rapid.IntRange(1, 9).Draw(rt, "zones"))
		for i := range zones {
			zones[i] = zone(t, fmt.Sprintf("bl%d.example", i))
		}
		l := newRig(zones...).Lists
		now := l.start
		l.now = func() time.Time { return now }
		for _, w := range l.watches {
			w.state.Store(uint32(OK))
		}
		for i := range byte(mostServers) {
			l.servers.number(numbered(i+1), l.seconds())
		}
		model := map[string]said{}
		name := func(c, z int) string { return fmt.Sprint(c, " ", z) }
		rt.Repeat(map[string]func(*rapid.T){
			"answers": func(rt *rapid.T) {
				c := rapid.IntRange(0, 3).Draw(rt, "client")
				s := ofAddress(client(c))
				f := &flight{subject: s, slots: make([]slot, len(zones)), done: make(chan struct{})}
				shard := l.addresses.rows.shard(s.key)
				for i := range zones {
					if rapid.Bool().Draw(rt, "this zone") {
						e := drawEntry(rt, l)
						f.slots[i] = slot{entry: e, asked: true, answered: true}
						at := func(seconds uint32) time.Time { return l.start.Add(time.Duration(seconds-1) * time.Second) }
						model[name(c, i)] = said{e.what, e.codes, at(e.expires), at(e.at), e.by}
					}
				}
				shard.mu.Lock()
				l.addresses.land(shard, f)
				shard.mu.Unlock()
			},
			"time": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 4000_000).Draw(rt, "ms")) * time.Millisecond)
			},
			"state": func(rt *rapid.T) {
				i := rapid.IntRange(0, len(zones)-1).Draw(rt, "zone")
				l.change(l.watches[i], Notice{State: World})
				l.change(l.watches[i], Notice{State: OK})
				for c := range 4 {
					delete(model, name(c, i))
				}
			},
			"": func(rt *rapid.T) {
				for c := range 4 {
					s := ofAddress(client(c))
					got := make([]Answer, len(zones))
					l.addresses.read(got, l.addresses.rows.shard(s.key).get(s.key), s, l.seconds())
					for i, a := range got {
						check(rt, a, model[name(c, i)], now)
					}
				}
			},
		})
	})
}

// drawEntry draws an answer as hear makes it.
func drawEntry(rt *rapid.T, l *Lists) entry {
	e := entry{what: what(rapid.IntRange(int(whatClear), int(whatListed)+maxCodes).Draw(rt, "what")), epoch: l.epoch.Load()}
	if e.what == whatListed {
		e.what = whatClear
	}
	for range max(int(e.what)-int(whatListed), 0) {
		var c Code
		binary.Decode(rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(rt, "code"), binary.BigEndian, &c)
		e.codes = append(e.codes, c)
	}
	e.at, e.by = l.seconds(), uint8(rapid.IntRange(0, mostServers).Draw(rt, "server"))
	e.expires = e.at + uint32(rapid.IntRange(30, 3600).Draw(rt, "TTL"))
	return e
}

// numbered is the server that has a number; 0 is none.
func numbered(n byte) netip.AddrPort {
	if n == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 53)
}

// check compares an answer with what the model knows.
func check(rt *rapid.T, a Answer, m said, now time.Time) {
	if m.what == whatNothing || !now.Before(m.until) {
		if a.Cached {
			rt.Fatalf("%s still says %+v", a.Zone.Name, a)
		}
		return
	}
	want := Unknown
	switch {
	case m.what == whatClear:
		want = Clear
	case m.what > whatListed:
		want = Listed
	}
	if !a.Cached || a.Status != want || !slices.Equal(a.Codes, m.codes) || (want == Unknown) != (a.Why != "") {
		rt.Fatalf("%s says %+v, want %v %v", a.Zone.Name, a, want, m.codes)
	}
	if end := now.Add(a.TTL); end.Before(m.until) || end.Sub(m.until) >= time.Second {
		rt.Fatalf("%s holds until %v, want %v", a.Zone.Name, end, m.until)
	}
	if less := now.Sub(m.at) - a.Age; less < -time.Second || less > 1<<stepBits*time.Second || a.Server != numbered(m.by) {
		rt.Fatalf("%s was answered %v ago by %v, want %v ago by %v", a.Zone.Name, a.Age, a.Server, now.Sub(m.at), numbered(m.by))
	}
}

func TestWhatARowKeepsOfWhenItWasAnsweredDoesNotDriftWhileOthersAreAskedAgain(t *testing.T) {
	for _, answered := range []uint32{1, 127, 128, 300, 3000} {
		e := entry{what: whatClear, expires: answered + 3600, at: answered, by: 5}
		for now := answered; now < e.expires; now += 30 {
			in := packRow([]entry{e}, now, 1).reader(1)
			got, _ := in.next()
			if now == answered && got.at != answered || got.at < answered || got.at > answered+1<<stepBits || got.expires != e.expires || got.by != 5 {
				t.Fatalf("answered at %d by 5, until %d, written at %d: read at %d by %d, until %d", answered, e.expires, now, got.at, got.by, got.expires)
			}
			e.at = got.at
		}
	}
}

func TestOfMoreServersThanHaveANumberItIsNotKnownWhoAnswered(t *testing.T) {
	var s servers
	for range 2 {
		for n := range byte(mostServers + 3) {
			got := s.number(numbered(n), 1)
			if want := uint8(n) * uint8(min(1, mostServers/max(n, 1))); got != want || n <= mostServers && s.called(got) != numbered(n) {
				t.Errorf("server %d has the number %d, which is %v", n, got, s.called(got))
			}
		}
	}
	if a := s.called(255); a.IsValid() {
		t.Error(a)
	}
}

func TestTheNumberOfAServerThatAnsweredLongAgoGoesToAnother(t *testing.T) {
	type given struct {
		number uint8
		until  uint32
		who    netip.AddrPort
	}
	var s servers
	var all []given
	for now := uint32(1); now < 100*3600; now += 720 { // a new one every twelve minutes, beside one that goes on
		for _, who := range []netip.AddrPort{numbered(200), numbered(byte(1 + now/720%190))} {
			n := s.number(who, now)
			if n == 0 {
				t.Fatalf("at %d %v has no number", now, who)
			}
			all = append(all, given{n, now + uint32(maxTTL/time.Second), who})
		}
		for _, g := range all {
			if now < g.until && s.called(g.number) != g.who {
				t.Fatalf("at %d the number %d is %v, and what %v said holds until %d", now, g.number, s.called(g.number), g.who, g.until)
			}
		}
	}
}

func TestTheRowsAreBoundedInEntriesAndOctets(t *testing.T) {
	for _, c := range []struct {
		name       string
		most, size int
		rows       int // at most
	}{
		{"small rows: by entries", 4096, 24, 4096},
		{"large rows: by octets", 4096, 1000, 4096 * rowOctets / (1000 + rowOverhead)},
		{"one row larger than all", 1, 1000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRows(c.most)
			v := row(make([]byte, c.size))
			count := func() (n, octets int) {
				for i := range r.shards {
					n += r.shards[i].lru.Len()
					octets += r.shards[i].octets
				}
				return n, octets
			}
			for i := range 5 * c.most {
				var k key
				binary.BigEndian.PutUint32(k[:], uint32(i))
				s := r.shard(k)
				s.mu.Lock()
				s.put(k, v)
				s.put(k, v) // again: it counts once
				s.mu.Unlock()
			}
			n, octets := count()
			if n > c.rows || n < c.rows*9/10 || octets != n*(c.size+rowOverhead) {
				t.Errorf("%d rows, %d octets; at most %d rows", n, octets, c.rows)
			}
			for i := range 5 * c.most {
				var k key
				binary.BigEndian.PutUint32(k[:], uint32(i))
				s := r.shard(k)
				s.lru.Remove(k)
			}
			if n, octets := count(); n != 0 || octets != 0 {
				t.Errorf("%d rows with %d octets are left", n, octets)
			}
		})
	}
}

func TestARowThatIsNoRowSaysNothing(t *testing.T) {
	for _, v := range []row{"", "short", row(make([]byte, rowHead))} {
		in := v.reader(8)
		for range 8 {
			if e, codes := in.next(); e.what != whatNothing || codes != "" {
				t.Errorf("%q says %+v", v, e)
			}
		}
	}
}

func TestARowOfEightZonesIsSmall(t *testing.T) {
	entries := make([]entry, 8)
	for i := range entries {
		entries[i] = entry{what: whatClear, expires: 3600}
	}
	entries[3] = entry{what: whatListed + 2, expires: 3600, codes: []Code{{0, 0, 2}, {0, 0, 10}}}
	if n := len(packRow(entries, 1, 1)); n != 38 {
		t.Errorf("%d octets", n)
	}
}

func TestNamesHaveRowsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(zone(t, "bl.example"), ofNames(zone(t, "dbl.example")))
		r.run(t)
		r.dns.set("bl.example", healthy(badEntry+"=127.0.0.2"))
		r.Check(t.Context(), bad)
		for i := range 5000 {
			r.CheckName(t.Context(), fmt.Sprintf("host%d.example.com", i))
		}
		if a := r.Check(t.Context(), bad).Answers[0]; !a.Cached {
			t.Error("names have driven out an address")
		}
		n := 0
		for i := range r.names.rows.shards {
			n += r.names.rows.shards[i].lru.Len()
		}
		if n > 250 || n < 200 {
			t.Errorf("%d rows of names", n)
		}
	})
}
