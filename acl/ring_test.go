package acl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"eximpolicyd/policy"
)

// moments makes decisions with ids of a sequence, about clients of 203.0.113.0/24 and, if odd, of 2001:db8::/64.
type moments struct {
	*Decider
	ids *sequence
	n   int
}

func newMoments() *moments {
	return &moments{Decider: deciderOf(table(policy.Enforce, policy.Enforce, policy.Lenient)...), ids: &sequence{}}
}

func (s *moments) next(t testing.TB, words ...string) *moment {
	client := fmt.Sprintf("client_address=203.0.113.%d", s.n%200+1)
	if s.n%2 == 1 {
		client = fmt.Sprintf("client_address=2001:db8::%x", s.n)
	}
	s.n++
	m := s.decide(context.Background(), rcpt(t, append([]string{client}, words...)...), noon, &facts{}, false)
	m.out.ID = s.ids.next(noon)
	return m
}

// idsOf returns the ids of lines.
func idsOf(t testing.TB, lines []json.RawMessage) (ids []string) {
	t.Helper()
	for _, line := range lines {
		var x Explanation
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		ids = append(ids, x.ID)
	}
	return ids
}

func TestTheRingKeepsTheNewest(t *testing.T) {
	var r Ring
	if _, ok := r.Find("000000000A"); ok || len(r.Last(10)) != 0 || r.Forget(func(*Explanation) bool { return true }) != 0 {
		t.Error("an empty ring knows something")
	}
	s := newMoments()
	var ids []string
	for range ringEntries + 100 {
		m := s.next(t)
		ids = append(ids, m.out.ID)
		r.add(m)
	}
	if n, oldest := r.Kept(); n != ringEntries || oldest != ids[100] {
		t.Errorf("%d are kept from %s on, want %d from %s on", n, oldest, ringEntries, ids[100])
	}
	if _, ok := r.Find(ids[99]); ok {
		t.Error("one too many is kept")
	}
	for _, id := range []string{ids[100], ids[len(ids)-1]} {
		if line, ok := r.Find(id); !ok || idsOf(t, []json.RawMessage{line})[0] != id {
			t.Errorf("%s: %s", id, line)
		}
	}
	if _, ok := r.Find(""); ok {
		t.Error("the empty id is found")
	}
	if got := idsOf(t, r.Last(3)); strings.Join(got, " ") != strings.Join(ids[len(ids)-3:], " ") {
		t.Errorf("the last are %v", got)
	}
	if got := len(r.Last(1 << 20)); got != ringEntries {
		t.Errorf("%d lines", got)
	}
	t.Logf("FIGURE octets of %d decisions written out: %d", ringEntries, r.octets)
}

// A flood of requests of 64 kB must not take more than the bound, neither as they are nor written out.
func TestTheRingHasABoundOfOctets(t *testing.T) {
	var r Ring
	s := newMoments()
	long := "helo_name=" + strings.Repeat("\x01", 50_000)
	for range 250 {
		m := s.next(t, long)
		m.octets = 50_000
		r.add(m)
		if r.octets > RingOctets {
			t.Fatalf("%d octets", r.octets)
		}
	}
	n, _ := r.Kept()
	r.Settle()
	written, _ := r.Kept()
	sum := 0
	for _, line := range r.Last(ringEntries) {
		sum += len(line)
	}
	if sum != r.octets || sum > RingOctets || written >= n || written < 10 {
		t.Errorf("%d decisions, written out %d with %d octets, counted %d", n, written, sum, r.octets)
	}
}

func TestARingThatIsLimitedLetsGoOfTheOldest(t *testing.T) {
	var r Ring
	s := newMoments()
	for range 100 {
		r.add(s.next(t))
	}
	all, oldest := r.Kept()
	half := r.octets / 2
	r.Limit(half)
	if n, now := r.Kept(); n != all/2 || now == oldest || r.octets > half {
		t.Errorf("%d of %d decisions, %d octets of %d, the oldest %s was %s", n, all, r.octets, half, now, oldest)
	}
	if r.add(s.next(t)); r.octets > half {
		t.Errorf("%d octets of %d", r.octets, half)
	}
}

func TestSettlingLetsGoOfWhatWasKnown(t *testing.T) {
	var r Ring
	s := newMoments()
	for range 10 {
		r.add(s.next(t))
	}
	before := r.Edition()
	r.Settle()
	for i := range r.slots[:10] {
		if r.slots[i].moment != nil || r.slots[i].line == nil {
			t.Errorf("%d is not written out", i)
		}
	}
	if r.Edition() != before {
		t.Error("writing out changes nothing that would have to be saved again")
	}
	r.add(s.next(t))
	if r.Edition() == before {
		t.Error("one more is no change")
	}
}

func TestManyUseTheRingAtOnce(t *testing.T) {
	var r Ring
	var work sync.WaitGroup
	for range 3 {
		s := newMoments()
		s.ids = newSequence()
		made := make([]*moment, 750)
		for i := range made {
			made[i] = s.next(t)
		}
		work.Go(func() {
			for _, m := range made {
				r.add(m)
				if line, ok := r.Find(m.out.ID); ok && !bytes.Contains(line, []byte(m.out.ID)) {
					t.Errorf("%s: %s", m.out.ID, line)
				}
			}
		})
	}
	work.Go(func() {
		for range 2 {
			r.Settle()
			r.Forget(func(x *Explanation) bool { return x.Client.String() == "203.0.113.7" })
			r.Save(&bytes.Buffer{})
		}
	})
	work.Wait()
	r.Settle()
	sum := 0
	for n := r.first; n < r.next; n++ {
		sum += r.at(n).octets
	}
	if sum != r.octets || sum == 0 {
		t.Errorf("%d octets counted, there are %d", r.octets, sum)
	}
}

func TestWhatIsForgottenIsGone(t *testing.T) {
	var r Ring
	s := newMoments()
	s.Rules = nil
	anna := s.next(t, "sasl_method=plain", "sasl_username=anna")
	secret := s.next(t, "sasl_method=plain", "sasl_username=anna")
	secret.privacy = Hashed
	local := s.decide(t.Context(), ask(t, "protocol_state=NOT_SMTP", "uid=1000"), noon, &facts{}, false)
	local.out.ID = s.ids.next(noon)
	remote := s.next(t, "uid=1000") // Exim's own, which is nobody's account
	for _, m := range []*moment{anna, secret, local, remote} {
		r.add(m)
	}
	for _, c := range []struct {
		name  string
		match func(*Explanation) bool
		want  int
	}{
		{"nobody", func(x *Explanation) bool { return x.IsOfAccount("") }, 0},
		{"another account", func(x *Explanation) bool { return x.IsOfAccount("ann") }, 0},
		{"a login, hashed or not", func(x *Explanation) bool { return x.IsOfAccount("anna") }, 2},
		{"a uid of this machine", func(x *Explanation) bool { return x.IsOfAccount("1000") }, 1},
		{"everything", func(x *Explanation) bool { return true }, 1},
	} {
		if got := r.Forget(c.match); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n, _ := r.Kept(); n != 0 || r.octets != 0 {
		t.Errorf("%d are left, %d octets", n, r.octets)
	}
	var b bytes.Buffer
	if err := r.Save(&b); err != nil || b.Len() > 0 {
		t.Errorf("%v %q", err, b.String())
	}
}

// What was saved is there again; damaged lines are counted and left out.
func TestTheRingIsReadAsItWasSaved(t *testing.T) {
	var r, again Ring
	s := newMoments()
	for range 20 {
		r.add(s.next(t, "helo_name=\x00\xff\"<"))
	}
	var b bytes.Buffer
	if err := r.Save(&b); err != nil {
		t.Fatal(err)
	}
	if taken, damaged, err := again.Load(bytes.NewReader(b.Bytes())); taken != 20 || damaged != 0 || err != nil {
		t.Errorf("%d, %d damaged, %v", taken, damaged, err)
	}
	if got, want := again.Last(20), r.Last(20); fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) {
		t.Errorf("%s, want %s", got, want)
	}
	again.add(s.next(t))
	if n, _ := again.Kept(); n != 21 {
		t.Errorf("%d", n)
	}
	for name, text := range map[string]string{
		"half a line":         b.String()[:b.Len()-5],
		"no id":               "{}\n" + b.String(),
		"a wrong id":          `{"id":"../../etc/p"}` + "\n" + b.String(),
		"no JSON":             "\x00\x00\x00\n" + b.String(),
		"an empty line":       "\n" + b.String(),
		"a line without end":  b.String() + strings.Repeat("x", 3*maxLine),
		"an array":            "[]\n" + b.String(),
		"a type that differs": strings.Replace(b.String(), `"rules":[`, `"rules":7,"x":[`, 1),
	} {
		var r Ring
		want := 20
		if name == "half a line" || name == "a type that differs" {
			want = 19
		}
		if taken, damaged, err := r.Load(strings.NewReader(text)); taken != want || damaged != 1 || err != nil {
			t.Errorf("%s: %d, %d damaged, %v", name, taken, damaged, err)
		}
	}
}

// A daemon answers before it has read what the last one left: that is older, and what there is no room for is its oldest.
func TestWhatIsLoadedLateIsOlder(t *testing.T) {
	var left Ring
	var ids []string
	sequence := newSequence()
	add := func(r *Ring) {
		ids = append(ids, sequence.next(noon))
		s, ok := slotOf(fmt.Appendf(nil, `{"id":%q}`, ids[len(ids)-1]))
		if !ok {
			t.Fatal(ids[len(ids)-1])
		}
		r.push(s)
	}
	for range ringEntries {
		add(&left)
	}
	var b bytes.Buffer
	if err := left.Save(&b); err != nil {
		t.Fatal(err)
	}
	for _, newer := range []int{0, 1, 100, ringEntries, ringEntries + 5} {
		var r Ring
		for range newer {
			add(&r)
		}
		edition := r.Edition()
		if taken, damaged, err := r.Load(bytes.NewReader(b.Bytes())); taken != ringEntries || damaged != 0 || err != nil {
			t.Errorf("%d newer: %d, %d damaged, %v", newer, taken, damaged, err)
		}
		if r.Edition() != edition+1 {
			t.Errorf("%d newer: edition %d after %d", newer, r.Edition(), edition)
		}
		want := append(slices.Clone(ids[:ringEntries]), ids[len(ids)-newer:]...)
		want = want[len(want)-ringEntries:]
		if got := idsOf(t, r.Last(ringEntries)); !slices.Equal(got, want) {
			t.Errorf("%d newer: %d decisions from %s to %s, want from %s to %s", newer, len(got), got[0], got[len(got)-1], want[0], want[len(want)-1])
		}
		add(&r)
		if n, _ := r.Kept(); n != ringEntries {
			t.Errorf("%d newer and one more: %d are kept", newer, n)
		}
	}
}

// FuzzRing loads any text; what it takes is saved and loaded again as it was.
func FuzzRing(f *testing.F) {
	var r Ring
	r.add(newMoments().next(f))
	var b bytes.Buffer
	r.Save(&b)
	f.Add(b.Bytes())
	f.Add([]byte("{\"id\":\"0123456789\"}\n\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r, again Ring
		taken, _, err := r.Load(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.Save(&b); err != nil {
			t.Fatal(err)
		}
		if n, damaged, err := again.Load(&b); n != min(taken, ringEntries) || damaged != 0 || err != nil {
			t.Fatalf("%d of %d, %d damaged, %v", n, taken, damaged, err)
		}
		if !reflect.DeepEqual(r.Last(ringEntries), again.Last(ringEntries)) {
			t.Fatalf("%q is not what was saved of it: %q", again.Last(ringEntries), r.Last(ringEntries))
		}
	})
}

// A rule that fails when it is asked again, or an explanation of ours that does, must not end the daemon.
func TestAMistakeInAnExplanationIsToldInIt(t *testing.T) {
	m := newMoments().next(t)
	m.Decider = nil
	var r Ring
	r.add(m)
	r.Settle()
	line, ok := r.Find(m.out.ID)
	if !ok || !strings.Contains(string(line), "it can't be explained") {
		t.Errorf("%s", line)
	}
}

func BenchmarkRemember(b *testing.B) {
	s := newMoments()
	m := s.next(b)
	m.octets = len(fullRequest)
	var r Ring
	b.ReportAllocs()
	for b.Loop() {
		r.add(m)
	}
}

func BenchmarkExplain(b *testing.B) {
	m := newMoments().next(b, "helo_name=localhost")
	b.ReportAllocs()
	for b.Loop() {
		m.line()
	}
}

func TestWhoAsksForTheLastFewHasOnlyThoseWrittenOut(t *testing.T) {
	var r Ring
	s := newMoments()
	var ids []string
	for range 100 {
		m := s.next(t)
		ids = append(ids, m.out.ID)
		r.add(m)
	}
	r.Forget(func(x *Explanation) bool { return x.ID == ids[97] })
	for range 20 {
		m := s.next(t)
		ids = append(ids, m.out.ID)
		r.add(m)
	}
	if got, want := idsOf(t, r.Last(23)), append([]string{ids[96]}, ids[98:]...); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 20 {
		r.add(s.next(t))
	}
	if got := r.Last(5); len(got) != 5 {
		t.Errorf("%d lines", len(got))
	}
	written := 0
	for n := r.first; n < r.next; n++ {
		if r.at(n).line != nil {
			written++
		}
	}
	if written != 99+20+5 {
		t.Errorf("%d are written out", written)
	}
	if got := r.Last(ringEntries); len(got) != 139 {
		t.Errorf("%d lines of all", len(got))
	}
}
