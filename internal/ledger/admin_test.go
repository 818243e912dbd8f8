package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// holding reports which files of a folder hold a text. One that is replaced meanwhile has it look once more.
func holding(t *testing.T, dir, text string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		data, err := os.ReadFile(filepath.Join(dir, d.Name()))
		if errors.Is(err, os.ErrNotExist) {
			return holding(t, dir, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(text)) {
			names = append(names, d.Name())
		}
	}
	return names
}

func TestForgetLeavesNothingInMemoryOrOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	e := open(t, Options{Dir: dir})
	for i := range 60 {
		offend(t, e, offence(fmt.Sprintf("192.0.2.%d", i), i%2 == 0))
		offend(t, e, offence(fmt.Sprintf("198.51.100.%d", i), true))
	}
	for _, p := range []string{"192.0.2.0/24", "192.0.2.128/25"} {
		if _, err := e.Allow(soon(t), Allowed{Network: prefix(p), Because: "192.0.2.200 is ours"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []Key{Of(prefix("192.0.2.7")), Of(prefix("192.0.2.0/24")), Of(prefix("192.0.0.0/16")), Account("nobody")} {
		e.counts.count(e.Now(), []Tally{{Key: k, Add: Delta{Bad: 1}}})
	}
	if _, err := e.Unban(soon(t), prefix("192.0.2.3")); err != nil { // what is free in the file still holds it
		t.Fatal(err)
	}
	if len(holding(t, dir, "192.0.2.3/")) == 0 {
		t.Fatal("the file does not hold what was removed: this test shows nothing")
	}
	got, err := e.Forget(soon(t), prefix("192.0.2.0/24"))
	if want := (Forgotten{Bans: 59, Allowed: 2, Counters: 2}); err != nil || got != want {
		t.Errorf("%+v, %v; wanted %+v", got, err, want)
	}
	if names := holding(t, dir, "192.0.2."); len(names) > 0 {
		t.Errorf("%s hold some of it", names)
	}
	if len(e.Bans()) != 60 || len(e.Allows()) != 0 || e.counts.keys() != 2 {
		t.Errorf("%d bans, %d allowed and %d keys are left", len(e.Bans()), len(e.Allows()), e.counts.keys())
	}
	if !e.ForgetAccount("nobody") || e.ForgetAccount("nobody") {
		t.Error("the account was not known, or is known still")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e := open(t, Options{Dir: dir}); len(e.Bans()) != 60 || e.counts.keys() != 1 {
		t.Errorf("after a restart there are %d bans and %d keys", len(e.Bans()), e.counts.keys())
	}
}

func TestUnbanForgetsWhatWouldBanAgain(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	client, around := prefix("192.0.2.1"), prefix("192.0.2.0/24")
	e.counts.count(e.Now(), []Tally{{Key: Of(client), Add: Delta{Bad: 20}}, {Key: Of(around), Add: Delta{Bad: 20}}})
	offend(t, e, offence("192.0.2.1", true))
	offend(t, e, offence("192.0.2.1", false))
	if gone, err := e.Unban(soon(t), client); len(gone) != 2 || err != nil {
		t.Errorf("%+v, %v", gone, err)
	}
	if got := e.counts.read(e.Now(), Of(client)); got != (Counts{}) {
		t.Errorf("counted is %+v", got)
	}
	if got := e.counts.read(e.Now(), Of(around)); got.Hour.Bad != 20 {
		t.Errorf("of the network around it %+v", got)
	}
	if gone, err := e.Unban(soon(t), client); len(gone) != 0 || err != nil {
		t.Errorf("once more: %+v, %v", gone, err)
	}
}

func TestWhyTellsWhatIsAroundAndInside(t *testing.T) {
	e := open(t, Options{})
	for _, n := range []string{"192.0.0.0/16", "192.0.2.1", "192.0.2.2", "198.51.100.1"} {
		offend(t, e, offence(n, true))
	}
	offend(t, e, offence("192.0.2.1", false))
	if _, err := e.Allow(t.Context(), Allowed{Network: prefix("192.0.2.0/24")}); err != nil {
		t.Fatal(err)
	}
	e.counts.count(e.Now(), []Tally{{Key: Of(prefix("192.0.2.1")), Add: Delta{Bad: 1}}, {Key: Of(prefix("192.0.2.0/24")), Add: Delta{Bad: 2}}})
	show := func(w Why) string {
		var parts []string
		for _, b := range w.Bans {
			parts = append(parts, fmt.Sprintf("%s %t", b.Network, b.Enforced))
		}
		for _, a := range w.Allowed {
			parts = append(parts, "allowed "+a.Network.String())
		}
		for _, c := range w.Counts {
			parts = append(parts, fmt.Sprintf("%s %d", c.Network, c.Counts.Hour.Bad))
		}
		return strings.Join(parts, ", ")
	}
	for p, want := range map[string]string{
		"192.0.2.1":      "192.0.0.0/16 true, 192.0.2.1/32 true, 192.0.2.1/32 false, allowed 192.0.2.0/24, 192.0.2.1/32 1, 192.0.2.0/24 2",
		"192.0.2.0/24":   "192.0.0.0/16 true, 192.0.2.1/32 true, 192.0.2.1/32 false, 192.0.2.2/32 true, allowed 192.0.2.0/24, 192.0.2.0/24 2",
		"203.0.113.1":    "",
		"2001:db8::1":    "",
		"192.0.2.128/25": "192.0.0.0/16 true, allowed 192.0.2.0/24, 192.0.2.0/24 2",
	} {
		w := e.Why(prefix(p))
		if got := show(w); got != want || w.More || w.Network != prefix(p) {
			t.Errorf("%s: %s; wanted %s", p, got, want)
		}
	}
	if w := e.Why(netip.Prefix{}); !w.Network.Addr().Is4() && len(w.Bans) > 0 {
		t.Errorf("no network: %+v", w)
	}
	for i := range 300 {
		offend(t, e, offence(fmt.Sprintf("10.0.%d.%d", i>>8, i&255), true))
	}
	if w := e.Why(prefix("10.0.0.0/8")); !w.More || len(w.Bans) != maxWhy {
		t.Errorf("%d bans of 300, more: %t", len(w.Bans), w.More)
	}
}

func TestBansAreBoundedAndThoseThatMatterLeastGoFirst(t *testing.T) {
	h := newHands()
	e := open(t, Options{Clock: h.read})
	number := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	ban := func(p netip.Prefix) {
		if _, made, err := e.Offend(t.Context(), Offence{Network: p, Rule: "a.b"}); !made || err != nil {
			t.Fatalf("%s: %t, %v", p, made, err)
		}
	}
	has := func(p netip.Prefix) bool {
		return slices.ContainsFunc(e.Bans(), func(b Ban) bool { return b.Network == p })
	}
	for i, until := range []time.Duration{10 * time.Minute, 0, 30 * time.Second} {
		b := Ban{Network: prefix(fmt.Sprintf("192.0.2.%d", i))}
		if until > 0 {
			b.Until = e.Now().Add(until)
		}
		if _, err := e.Ban(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	h.pass(time.Minute) // the last one is over
	for i := range MaxBans - 3 {
		ban(number(i))
		if i < 2 {
			h.pass(time.Second)
		}
	}
	if n := len(e.Bans()); n != MaxBans {
		t.Fatalf("%d bans", n)
	}
	ban(prefix("198.51.100.1"))
	if has(prefix("192.0.2.2")) || !has(number(0)) {
		t.Error("what is over does not go first")
	}
	ban(prefix("198.51.100.2"))
	if has(number(0)) || !has(number(1)) || !has(prefix("192.0.2.0")) {
		t.Error("then the ban of a rule that ends soonest does not go")
	}
	if n := len(e.Bans()); n != MaxBans || !has(prefix("198.51.100.1")) || !has(prefix("192.0.2.1")) {
		t.Errorf("%d bans", n)
	}
	for i := range MaxAllowed {
		if _, err := e.Allow(t.Context(), Allowed{Network: number(i), Until: e.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Allow(t.Context(), Allowed{Network: prefix("192.0.2.1")}); err == nil {
		t.Error("one more is allowed")
	}
	if _, err := e.Allow(t.Context(), Allowed{Network: number(7)}); err != nil {
		t.Errorf("the same one is not: %v", err)
	}
	h.pass(time.Hour)
	if _, err := e.Allow(t.Context(), Allowed{Network: prefix("192.0.2.1")}); err != nil || len(e.Allows()) != MaxAllowed {
		t.Errorf("in place of one that is over: %v, %d", err, len(e.Allows()))
	}
}

func TestManyBansAtOnceShareATransaction(t *testing.T) {
	dir := t.TempDir()
	e := open(t, Options{Dir: dir})
	transactions := func() uint64 {
		f, err := os.Open(filepath.Join(dir, fileBans))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, _, err := readMetas(f, maxFile)
		if err != nil {
			t.Fatal(err)
		}
		return m.txid
	}
	before := transactions()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if b, _, err := e.Offend(soon(t), offence(fmt.Sprintf("192.0.2.%d", i), true)); err != nil || !b.Durable {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
	all.Wait()
	took := transactions() - before
	if took > 100 || took == 0 {
		t.Errorf("200 bans took %d transactions", took)
	}
	t.Logf("FIGURE group commit: 200 bans at once in %d transactions", took)
}

func TestCountersAreSavedEveryMinute(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Options{Dir: dir})
		e.counts.count(e.Now(), []Tally{{Key: Total, Add: Delta{Bad: 1}}})
		time.Sleep(snapshotEvery + time.Second)
		synctest.Wait()
		if e.counts.changed() {
			t.Error("they are not saved")
		}
		if _, err := os.Stat(filepath.Join(dir, fileCounters)); err != nil {
			t.Error(err)
		}
	})
}

// The clock stands still while anything is written or read, and jumps to the next try when nothing is.
func TestWhileTheDiskIsAwayWhatWaitsForItIsBounded(t *testing.T) {
	t.Parallel()
	blocked := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHands()
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Options{Dir: blocked, Clock: h.read})
		last := 0
		ban := func() {
			last++
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(last >> 16), byte(last >> 8), byte(last)}), 32)
			if _, made, err := e.Offend(t.Context(), Offence{Network: p, Rule: "a.b"}); !made || err != nil {
				t.Fatal(made, err)
			}
		}
		for range MaxBans {
			ban()
		}
		e.mu.Lock() // as if bans had come and gone, the last of which was one too many
		for i := uint32(0); len(e.saver.dirty) <= mostDirty; i++ {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			e.saver.dirty[id{observed, p}] = struct{}{}
		}
		if e.saver.anew != 0 {
			t.Error("the file is to be written anew already")
		}
		e.mu.Unlock()
		ban()
		e.mu.RLock()
		n, anew := len(e.saver.dirty), e.saver.anew
		e.mu.RUnlock()
		if n != MaxBans || anew == 0 { // a file that is only changed would keep what nobody knows to be gone
			t.Errorf("%d wait, and the file is written anew by change %d", n, anew)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		wait(t, e)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	})
	began := time.Now()
	e := open(t, Options{Dir: blocked, Clock: h.read})
	took := time.Since(began)
	info, err := os.Stat(filepath.Join(blocked, fileBans))
	if n := len(e.Bans()); n != MaxBans || err != nil || e.State().Unsaved > 0 {
		t.Fatalf("%d bans after a restart, %v; %+v", n, err, e.State())
	}
	t.Logf("FIGURE full: %d bans in %d octets, loaded in %s", MaxBans, info.Size(), took.Round(time.Millisecond))
}
