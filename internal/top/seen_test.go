package top

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRatesAreThoseOfTheLastTenSeconds(t *testing.T) {
	var s seen
	for at := 1; at <= 30; at++ {
		s = s.add(world(time.Duration(at) * time.Second))
	}
	quiet := world(30 * time.Second)
	for at := 31; at <= 35; at++ { // nothing comes any more
		quiet.At = noon.Add(time.Duration(at) * time.Second)
		s = s.add(quiet)
	}
	_, _, sum, rates := s.stages()
	if !rates || sum[all] != 50 || sum[denied] != 0.5 || sum.refused() != 0.5 {
		t.Errorf("%v: %v", rates, sum)
	}
}

func TestRulesAreThoseOfTheLastMinute(t *testing.T) {
	var s seen
	for at := 1; at <= 300; at++ {
		s = s.add(world(time.Duration(at) * time.Second))
	}
	got, recent := s.rules()
	want := []rule{{"ptr.P1", 120, 0, 120}, {"helo.H3", 60, 60, 0}, {"score", 20, 20, 0}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rule{})); diff != "" || !recent {
		t.Error(diff)
	}
	if len(s.samples) > 62 {
		t.Errorf("%d samples are kept of a minute", len(s.samples))
	}
}

func TestADecisionIsShownOnceAndOldOnesGo(t *testing.T) {
	s := seen{}.add(world(time.Second))
	again := world(time.Second)
	again.Decisions = append([]Decision{{ID: "1xWDejnew0"}}, again.Decisions[:30]...)
	s = s.add(again)
	if len(s.decisions) != 41 || s.decisions[0].ID != "1xWDejnew0" {
		t.Errorf("%d decisions", len(s.decisions))
	}
	for at := 2; at < 40; at++ {
		s = s.add(world(time.Duration(at) * time.Second))
	}
	if len(s.decisions) != mostDecisions {
		t.Errorf("%d decisions", len(s.decisions))
	}
}

func TestADecisionThatTheDaemonHasForgottenGoes(t *testing.T) {
	of := func(ids ...string) (list []Decision) {
		for _, id := range ids {
			list = append(list, Decision{ID: id})
		}
		return list
	}
	for _, c := range []struct {
		name                  string
		earlier, latest, want []Decision
	}{
		{"the newest is forgotten", of("d", "c", "b", "a"), of("c", "b"), of("c", "b", "a")},
		{"one between is", of("d", "c", "b", "a"), of("e", "d", "b"), of("e", "d", "b", "a")},
		{"all are", of("d", "c"), nil, nil},
		{"nothing was seen", nil, of("b", "a"), of("b", "a")},
		{"many came at once", of("b", "a"), of("z", "y"), of("z", "y", "b", "a")},
		{"nothing is new", of("b", "a"), of("b", "a"), of("b", "a")},
	} {
		if diff := cmp.Diff(c.want, after(c.earlier, c.latest), cmp.Comparer(func(a, b Decision) bool { return a.ID == b.ID })); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

func TestTheBusiestNetworksAreThoseOfMostDecisions(t *testing.T) {
	s := seen{}.add(world(time.Second))
	got := s.busiest()
	if len(got) != 2 || shown(got[0].network) != "203.0.113.0/24" || got[0].seen != 20 || shown(got[1].network) != "2001:db8:1234:5678::/64" || got[1].refused != 10 {
		t.Errorf("%+v", got)
	}
	late := world(time.Second)
	late.At = noon.Add(time.Hour)
	late.Decisions = nil
	s = s.add(late)
	if got := s.busiest(); len(got) != 0 {
		t.Errorf("an hour later: %+v", got)
	}
}

// FuzzWhatIsShownIsPrintableAndFits holds that of any text, and that what is printable and fits is left as it is.
func FuzzWhatIsShownIsPrintableAndFits(f *testing.F) {
	f.Add("mail.example.net", 24)
	f.Add("\x1b[2J", 3)
	f.Add("é\u202e\xff", 40)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		columns %= 300
		got := fit(text, columns)
		if len(got) > max(columns, 0) {
			t.Fatalf("%d columns of %d", len(got), columns)
		}
		printable := true
		for _, c := range []byte(got) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q", got)
			}
		}
		for _, c := range []byte(text) {
			printable = printable && c >= ' ' && c <= '~' && c != '\\'
		}
		if printable && len(text) <= columns && got != text {
			t.Fatalf("%q is shown as %q", text, got)
		}
	})
}
