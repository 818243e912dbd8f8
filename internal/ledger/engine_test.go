package ledger

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestASecondEngineOnAFolderIsRefusedAndTheFirstIsUnharmed(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	was := offend(t, first, offence("192.0.2.1", true))
	if e, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) || e != nil {
		t.Fatalf("the second: %v, %v", e, err)
	}
	if !was.Durable || !offend(t, first, offence("192.0.2.2", true)).Durable || first.State().Fault != "" {
		t.Errorf("the first is harmed: %+v", first.State())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if second := open(t, Options{Dir: dir}); len(second.Bans()) != 2 {
		t.Errorf("after the first has ended there are %+v", second.Bans())
	}
}

func TestAFolderThatCannotBeUsedIsSaidOnceAndTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "state")
	before := open(t, Options{Dir: blocked})
	offend(t, before, offence("192.0.2.8", true))
	offend(t, before, offence("192.0.2.9", true))
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blocked, blocked+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(lines)
	e := open(t, Options{Dir: blocked, Log: log.log()})
	for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
		if b := offend(t, e, offence(a, true)); b.Durable {
			t.Errorf("%+v is durable", b)
		}
	}
	if gone, err := e.Unban(soon(t), prefix("192.0.2.2")); len(gone) != 1 || !errors.Is(err, ErrUnsaved) {
		t.Errorf("unban: %v, %v", gone, err)
	}
	if gone, err := e.Unban(soon(t), prefix("192.0.2.8")); len(gone) != 0 || !errors.Is(err, ErrUnsaved) {
		t.Errorf("unban of what may be on the disk: %v, %v", gone, err)
	}
	if s := e.State(); s.Fault == "" || s.Fix == "" || s.Unsaved < 2 || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("%+v\n%s", s, log)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blocked+".away", blocked); err != nil {
		t.Fatal(err)
	}
	wait(t, e)
	if bans := e.Bans(); len(bans) != 2 || !bans[0].Durable || bans[1].Network != prefix("192.0.2.9") {
		t.Errorf("with what was there before there are %+v", bans)
	}
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "level=INFO") != 1 {
		t.Errorf("the log says\n%s", text)
	}
}

// wait waits until all is saved.
func wait(t *testing.T, e *Engine) {
	t.Helper()
	for ctx := soon(t); ; {
		e.mu.RLock()
		round := e.saver.round
		e.mu.RUnlock()
		if s := e.State(); s.Unsaved == 0 && s.Fault == "" {
			return
		}
		select {
		case <-round:
		case <-ctx.Done():
			t.Fatalf("%+v", e.State())
		}
	}
}

func TestAFolderThatIsTakenAwayIsMadeAnewWithEverything(t *testing.T) {
	for _, taken := range []string{"", fileBans, fileLock} {
		dir := filepath.Join(t.TempDir(), "state")
		e := open(t, Options{Dir: dir})
		offend(t, e, offence("192.0.2.1", true))
		if err := os.RemoveAll(filepath.Join(dir, taken)); err != nil {
			t.Fatal(err)
		}
		if b := offend(t, e, offence("192.0.2.2", true)); !b.Durable {
			t.Errorf("%s was taken away: %+v; %+v", taken, b, e.State())
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if e := open(t, Options{Dir: dir}); len(e.Bans()) != 2 {
			t.Errorf("%s was taken away: %+v", taken, e.Bans())
		}
	}
}

func TestAFileOfBansThatIsPutThereWhileTheDaemonRunsIsMovedAside(t *testing.T) {
	dir := t.TempDir()
	e := open(t, Options{Dir: dir})
	offend(t, e, offence("192.0.2.1", true))
	strange := filepath.Join(dir, "strange")
	if err := os.WriteFile(strange, []byte("a backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(strange, filepath.Join(dir, fileBans)); err != nil {
		t.Fatal(err)
	}
	if b := offend(t, e, offence("192.0.2.2", true)); !b.Durable {
		t.Errorf("%+v", b)
	}
	aside := e.saver.store.asides()
	if len(aside) != 1 {
		t.Fatalf("aside is %s", aside)
	}
	if text, err := os.ReadFile(aside[0]); err != nil || string(text) != "a backup" {
		t.Errorf("aside is %q, %v", text, err)
	}
}

func TestFilesAreReadableByNobodyElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	e := open(t, Options{Dir: dir})
	offend(t, e, offence("192.0.2.1", true))
	e.counts.count(e.Now(), []Tally{{Key: Total, Add: Delta{Bad: 1}}})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": os.ModeDir | 0o750, fileBans: 0o600, fileCounters: 0o600, fileLock: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v", name, info, err)
		}
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 3 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestAnEngineWithoutAFolderRemembersUntilItEnds(t *testing.T) {
	e := open(t, Options{})
	if b := offend(t, e, offence("192.0.2.1", true)); b.Durable {
		t.Errorf("%+v", b)
	}
	if s := standing(t, e, "192.0.2.1"); s.Enforced == nil {
		t.Error("it is not banned")
	}
	if gone, err := e.Unban(soon(t), prefix("192.0.2.1")); len(gone) != 1 || err != nil {
		t.Error(gone, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnOffenceWaitsForTheDiskNoLongerThanItsContext(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	ended, stop := context.WithCancel(t.Context())
	stop()
	if b, made, err := e.Offend(ended, offence("192.0.2.1", true)); err != nil || !made || b.Durable {
		t.Errorf("%+v, %t, %v", b, made, err)
	}
	wait(t, e)
	if b := e.Bans()[0]; !b.Durable {
		t.Errorf("later: %+v", b)
	}
}

func TestLevelsRiseAndFallAndWorldsAreSeparate(t *testing.T) {
	h := newHands()
	e := open(t, Options{Clock: h.read})
	for want := 1; want <= 6; want++ {
		b := offend(t, e, offence("192.0.2.1", true))
		if level := min(want, MaxLevel); b.Level != level || b.Until.Sub(b.Made) != Length(level) {
			t.Errorf("ban %d is %+v", want, b)
		}
		if again, made, err := e.Offend(t.Context(), offence("192.0.2.1", true)); made || err != nil || again != b {
			t.Errorf("an offence during a ban: %+v, %t, %v", again, made, err)
		}
		h.pass(Length(b.Level))
	}
	if b := offend(t, e, offence("192.0.2.1", false)); b.Level != 1 || b.Enforced {
		t.Errorf("observed: %+v", b)
	}
	if s := standing(t, e, "192.0.2.1"); s.Enforced != nil || s.Observed == nil {
		t.Errorf("an observed ban is %+v", s)
	}
	h.pass(2 * CleanTime)
	if b := offend(t, e, offence("192.0.2.1", true)); b.Level != 4 {
		t.Errorf("after two clean days: %+v", b)
	}
	h.pass(Length(4) + Remembered)
	if bans := e.Bans(); len(bans) != 0 {
		t.Errorf("after 30 days: %+v", bans)
	}
}

func TestAnAdministratorsBanLeavesThoseOfRulesAlone(t *testing.T) {
	h := newHands()
	e := open(t, Options{Clock: h.read})
	rule := offend(t, e, offence("192.0.2.1", true))
	admin, err := e.Ban(t.Context(), Ban{Network: prefix("192.0.2.1"), Because: "a\nb", Until: e.Now().Add(10 * time.Minute), Level: 4, Rule: "x"})
	if err != nil || admin.Level != 0 || admin.Rule != Admin || !admin.Enforced || admin.Because != "a?b" {
		t.Fatalf("%+v, %v", admin, err)
	}
	if s := standing(t, e, "192.0.2.1"); *s.Enforced != admin {
		t.Errorf("in force is %+v", s.Enforced)
	}
	h.pass(10 * time.Minute)
	if s := standing(t, e, "192.0.2.1"); *s.Enforced != rule {
		t.Errorf("in force then is %+v", s.Enforced)
	}
	gone, err := e.Unban(t.Context(), prefix("192.0.2.1"))
	if err != nil || len(gone) != 2 || standing(t, e, "192.0.2.1").Enforced != nil {
		t.Errorf("unban removes %+v, %v", gone, err)
	}
	if b := offend(t, e, offence("192.0.2.1", true)); b.Level != 1 {
		t.Errorf("the level was not removed: %+v", b)
	}
}

func TestStandingHasTheStrongestOfAllNetworksAround(t *testing.T) {
	h := newHands()
	e := open(t, Options{Clock: h.read})
	for _, n := range []string{"192.0.2.1", "192.0.2.0/24", "2001:db8::/48", "2001:db8:0:1::/64"} {
		offend(t, e, offence(n, true))
	}
	h.pass(time.Hour)
	high := offend(t, e, offence("192.0.2.0/24", true))
	offend(t, e, offence("192.0.2.1", false))
	let, err := e.Allow(t.Context(), Allowed{Network: prefix("2001:db8::/32")})
	if err != nil {
		t.Fatal(err)
	}
	if s := standing(t, e, "::ffff:192.0.2.1"); *s.Enforced != high || s.Observed == nil || s.Allowed != nil {
		t.Errorf("%+v", s)
	}
	if s := standing(t, e, "2001:db8::1"); s.Enforced != nil || *s.Allowed != let {
		t.Errorf("%+v", s)
	}
	if is, err := e.Disallow(t.Context(), prefix("2001:db8::/32")); !is || err != nil || standing(t, e, "2001:db8::1").Allowed != nil {
		t.Errorf("disallow: %t, %v", is, err)
	}
	if s := standing(t, e, "198.51.100.1"); s != (Standing{}) {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsNoNetworkOrNoRuleIsRefused(t *testing.T) {
	e := open(t, Options{})
	for name, o := range map[string]Offence{
		"no network":           {Rule: "dictionary.window"},
		"no rule":              {Network: prefix("192.0.2.1")},
		"an administrator's":   {Network: prefix("192.0.2.1"), Rule: Admin},
		"half of IPv4 in IPv6": {Network: netip.MustParsePrefix("::ffff:0.0.0.0/80"), Rule: "dictionary.window"},
	} {
		if b, made, err := e.Offend(t.Context(), o); err == nil || made {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if _, err := e.Ban(t.Context(), Ban{Network: prefix("192.0.2.1"), Until: e.Now()}); err == nil {
		t.Error("a ban that is over is made")
	}
	if _, err := e.Allow(t.Context(), Allowed{Network: prefix("192.0.2.1"), Until: e.Now().AddDate(9000, 0, 0)}); err == nil {
		t.Error("a network is allowed until the year 11026")
	}
	if len(e.Bans())+len(e.Allows()) > 0 {
		t.Error("something was made")
	}
	b, _, err := e.Offend(t.Context(), Offence{Network: netip.MustParsePrefix("::ffff:192.0.2.77/120"), Rule: strings.Repeat("r", 99), Because: strings.Repeat("\"é", 150)})
	if err != nil || b.Network != prefix("192.0.2.0/24") || len(b.Because) > MaxBecause || len(b.Rule) != maxRule {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestTheLongestEntryFitsIntoItsValue(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	o := Offence{Network: netip.MustParsePrefix("2001:db8:1111:2222:3333:4444:5555:6666/128"), Rule: strings.Repeat(`"`, 99), Because: strings.Repeat(`"\`, 150)}
	if b, made, err := e.Offend(soon(t), o); err != nil || !made || !b.Durable {
		t.Errorf("%+v, %t, %v; %+v", b, made, err, e.State())
	}
}

func TestStandingOfWhoIsNotBannedMakesNoGarbage(t *testing.T) {
	e := open(t, Options{})
	offend(t, e, offence("192.0.2.1", true))
	for _, a := range []string{"192.0.2.2", "192.0.2.1", "2001:db8::1"} {
		addr := netip.MustParseAddr(a)
		if n := testing.AllocsPerRun(100, func() { _, _ = e.Standing(t.Context(), addr) }); n > 0 {
			t.Errorf("%s: %v allocations", a, n)
		}
	}
}

func BenchmarkStanding(b *testing.B) {
	e := open(b, Options{})
	for n := range 60_000 {
		a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if _, _, err := e.Offend(b.Context(), Offence{Network: netip.PrefixFrom(a, 32), Enforced: true, Rule: "dictionary.window"}); err != nil {
			b.Fatal(err)
		}
	}
	for _, a := range []string{"10.0.5.5", "192.0.2.2"} {
		addr := netip.MustParseAddr(a)
		b.Run(a, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = e.Standing(b.Context(), addr)
			}
		})
	}
}

func TestBansInForceAreToldByTheirLevel(t *testing.T) {
	h := newHands()
	e := open(t, Options{Clock: h.read})
	offend(t, e, offence("192.0.2.1", true))
	h.pass(Length(1))
	offend(t, e, offence("192.0.2.1", true)) // once more
	offend(t, e, offence("192.0.2.2", true))
	offend(t, e, offence("192.0.2.3", false))
	if _, err := e.Ban(soon(t), Ban{Network: prefix("192.0.2.4")}); err != nil {
		t.Fatal(err)
	}
	offend(t, e, offence("192.0.2.5", true))
	if _, err := e.Allow(soon(t), Allowed{Network: prefix("192.0.2.6")}); err != nil {
		t.Fatal(err)
	}
	s := e.State()
	if s.EnforcedAt != [MaxLevel + 1]int{1, 2, 1} || s.ObservedAt != [MaxLevel + 1]int{0, 1} || s.Enforced != 4 || s.Observed != 1 || s.Allowed != 1 {
		t.Errorf("%+v", s)
	}
	h.pass(Length(2))
	if s := e.State(); s.EnforcedAt != [MaxLevel + 1]int{1} || s.ObservedAt != [MaxLevel + 1]int{} || s.Remembered != 4 {
		t.Errorf("when those of rules are over: %+v", s)
	}
}
