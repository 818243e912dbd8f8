package rbl

import "net/netip"

// verdict is what a test has found.
type verdict struct {
	sure  bool // else the test could not be made
	state State
	six   bool // IPv6 addresses may be asked
	why   string
	fix   string
	code  string // of an error
}

// judge judges the answers of a test. The lock is held.
func (w *watch) judge(questions []question) verdict {
	for _, q := range questions {
		switch q.rec.Outcome {
		case Down:
			return verdict{why: "could not be tested: the DNS server answers nobody", fix: seeToServer}
		case Busy, Unanswered:
			return verdict{why: "could not be tested: " + q.rec.Outcome.String(), fix: "wait: it is tested again every few seconds"}
		}
	}
	var four, six []question
	for _, q := range questions {
		if q.part >= mustList6 {
			q.part -= mustList6 - mustList
			six = append(six, q)
		} else {
			four = append(four, q)
		}
	}
	if w.zone.Kind == OfNames || w.zone.IPv4 {
		v := w.judgeFamily(four)
		if v.state != OK || len(six) == 0 {
			return v
		}
		v6 := w.judgeFamily(six)
		switch {
		case v6.state == OK, v6.state == Timeout && w.six.Load():
			v.six = true
		default:
			v.why = "IPv6 addresses are not asked: " + v6.why
			v.fix = "nothing, if the list has no IPv6 addresses"
		}
		return v
	}
	v := w.judgeFamily(append(six, four...)) // four is the random label
	v.six = v.state == OK
	return v
}

// judgeFamily judges the answers to the questions about one family of addresses, or about names.
func (w *watch) judgeFamily(questions []question) verdict {
	v := verdict{sure: true, state: OK}
	grave := func(state State, why string, addresses []netip.Addr) {
		if gravity[state] > gravity[v.state] {
			v.state, v.why = state, why
			v.fix, v.code = w.fixOf(state, addresses), w.errorCode(addresses)
		}
	}
	var entries, alive, strangers, listed int
	for _, q := range questions {
		found := q.rec.Outcome == Found && len(q.rec.Addresses) > 0
		if r := w.zone.Read(q.rec.Addresses); found && (r.Fault == Hijacked || r.Fault == ErrorCode) {
			grave(r.Fault, r.Why, q.rec.Addresses)
		}
		switch {
		case q.part == nowhere && found:
			grave(World, "it answers for a name that does not exist", nil)
		case q.part == mustNot && found:
			grave(World, "it lists what no list may: "+entryOf(w.zone, false), nil)
		case q.part == mustList:
			entries++
			if found {
				alive++
			}
		case q.part == stranger:
			strangers++
			if found {
				listed++
			}
		}
		if (q.part == mustList || q.part == mustNot) && !q.rec.Outcome.Answered() {
			grave(Timeout, "no answer to the test: "+w.mask(q.rec.Outcome.String(), q.rec.Note), nil)
		}
	}
	if strangers > 0 && listed == strangers {
		grave(World, "it lists every address tried at random", nil)
	}
	if entries > 0 && alive == 0 && v.state != Timeout {
		grave(Inert, "its test entry is not listed: "+entryOf(w.zone, true), nil)
	}
	return v
}

// gravity orders the states that a test finds: an answer that is not the list's own explains all others, and one that the
// list refuses comes before what it says of everybody.
var gravity = [...]int{OK: 0, Timeout: 1, Inert: 2, World: 3, ErrorCode: 4, Hijacked: 5}
