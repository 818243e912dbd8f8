package rbl

import (
	"testing"
	"time"
)

func TestAReportCountsEachOperatorOnce(t *testing.T) {
	zones := zonesOf(t, OfAddresses,
		"a1.example=127.0.0.[2..9]*3", "a2.example=127.0.0.[2..9]*4.5", "a3.example*-1", "a4.example*-2.5",
		"b.example*2", "c.example*2", "d.example*0", "e.example*-4")
	for i, operator := range []string{"A", "A", "A", "A", "B"} {
		zones[i].Operator = operator
	}
	two := []Code{{0, 0, 2}}
	listed := func(i int) Answer { return Answer{Zone: zones[i], Status: Listed, Codes: two, TTL: time.Minute} }
	other := func(i int, s Status) Answer { return Answer{Zone: zones[i], Status: s} }
	for _, c := range []struct {
		name      string
		answers   []Answer
		want      Score
		strongest int // of answers; -1: none
		complete  bool
	}{
		{"all unknown", []Answer{other(0, Unknown), other(4, Unknown)}, 0, -1, false},
		{"unknown with codes counts nothing", []Answer{{Zone: zones[0], Codes: two}}, 0, -1, false},
		{"an answer of no zone", []Answer{{}}, 0, -1, false},
		{"clear with codes counts nothing", []Answer{{Zone: zones[0], Status: Clear, Codes: two}}, 0, -1, true},
		{"one of two is unknown", []Answer{listed(4), other(5, Unknown)}, 20, 0, false},
		{"all clear", []Answer{other(0, Clear), other(4, Clear)}, 0, -1, true},
		{"one listing", []Answer{other(0, Clear), listed(4)}, 20, 1, true},
		{"one operator, the highest", []Answer{listed(0), listed(1)}, 45, 1, true},
		{"the highest first", []Answer{listed(1), listed(0)}, 45, 0, true},
		{"one operator, the lowest of those in favour", []Answer{listed(2), listed(3)}, -25, -1, true},
		{"the lowest first", []Answer{listed(3), listed(2)}, -25, -1, true},
		{"one operator speaks both ways", []Answer{listed(2), listed(0), listed(3), listed(1)}, 20, 3, true}, // 4.5 - 2.5
		{"zones without operator are on their own", []Answer{listed(5), listed(7), listed(6)}, -20, 0, true},
		{"two operators", []Answer{listed(0), listed(4), listed(5)}, 70, 0, true},
		{"of equal ones the first is named", []Answer{listed(4), listed(5)}, 40, 0, true},
		{"a listing worth nothing is not named", []Answer{listed(6)}, 0, -1, true},
		{"a listing in favour is not named", []Answer{listed(7)}, -40, -1, true},
	} {
		r := Report{Subject: "192.0.2.1", Answers: c.answers}
		if got := r.Score(); got != c.want {
			t.Errorf("%s: score %v, want %v", c.name, got, c.want)
		}
		strongest := -1
		for i := range r.Answers {
			if r.Strongest() == &r.Answers[i] {
				strongest = i
			}
		}
		if strongest != c.strongest || (strongest < 0) != (r.Strongest() == nil) {
			t.Errorf("%s: strongest is %d, want %d", c.name, strongest, c.strongest)
		}
		if r.Complete() != c.complete {
			t.Errorf("%s: complete is %v", c.name, r.Complete())
		}
	}
	if (Report{}).Complete() {
		t.Error("the zero report knows all")
	}
	if !(Report{Subject: "192.0.2.1"}).Complete() {
		t.Error("a report of no zones lacks something")
	}
}

// TestOneAddressOnFourListsOfOneHouse is Report.Score with zones of the catalogue: zen and its parts are one list.
func TestOneAddressOnFourListsOfOneHouse(t *testing.T) {
	var r Report
	for _, z := range zonesOf(t, OfAddresses, "zen.spamhaus.org", "sbl.spamhaus.org", "key.zen.dq.spamhaus.net", "bl.spamcop.net",
		"list.dnswl.org") {
		reading := z.Read(addressesOf("127.0.0.2"))
		r.Answers = append(r.Answers, Answer{Zone: z, Status: reading.Status, Codes: reading.Codes})
	}
	// 5.0 of Spamhaus, 2.5 of SpamCop, -2.0 of dnswl's category 0
	if got := r.Score(); got != 55 || r.Strongest() != &r.Answers[0] {
		t.Errorf("score %v, strongest %v", got, r.Strongest().Zone)
	}
}

// TestOneHouseOverSeveralReports is Sum: what a list says of the address, of the greeting and of the sender is one opinion
// of its operator.
func TestOneHouseOverSeveralReports(t *testing.T) {
	listed := func(kind Kind, entry string) Report {
		z := zonesOf(t, kind, entry)[0]
		return Report{Answers: []Answer{{Zone: z, Status: Listed, Codes: []Code{{0, 0, 2}, {0, 1, 2}}}, {Zone: z, Codes: []Code{{0, 0, 2}}}}}
	}
	zen, dbl := listed(OfAddresses, "zen.spamhaus.org=127.0.0.2*3"), listed(OfNames, "dbl.spamhaus.org=127.0.1.2*4")
	one, good := listed(OfNames, "one.test*2.5"), listed(OfAddresses, "one.test*-1")
	for _, c := range []struct {
		name string
		of   []Report
		want Score
	}{
		{"the same list about two names", []Report{one, one}, 25},
		{"two lists of one operator", []Report{zen, dbl}, 40},
		{"two lists of one operator, the other way round", []Report{dbl, zen, dbl}, 40},
		{"two operators", []Report{zen, one, dbl}, 65},
		{"one that nobody runs with us, for and against", []Report{good, one, good}, 15},
		{"two lists of operators that nobody knows", []Report{one, listed(OfNames, "two.test*1")}, 35},
		{"no report", nil, 0},
	} {
		if got := Sum(c.of...); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCodesAndScoresAreWrittenOneWay(t *testing.T) {
	for s, want := range map[Score]string{0: "0.0", 5: "0.5", -5: "-0.5", 50: "5.0", -999: "-99.9"} {
		if j, err := s.MarshalJSON(); s.String() != want || string(j) != want || err != nil {
			t.Errorf("%d: %v %s %v", s, s, j, err)
		}
	}
	if c := (Code{0, 10, 255}); c.String() != "127.0.10.255" {
		t.Error(c)
	}
}
