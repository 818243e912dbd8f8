package rbl

import (
	"math/rand/v2"
	"net/netip"

	"github.com/miekg/dns"
)

// part is what a question of a test is for.
type part uint8

const (
	mustList  part = iota // 127.0.0.2, TEST, or what the zone says it has besides: one of them at least
	mustNot               // 127.0.0.1, INVALID
	stranger              // random addresses, of which a healthy zone does not list all
	nowhere               // a random label: there is no such name
	mustList6             // ::FFFF:7F00:2
	mustNot6              // ::FFFF:7F00:1
	stranger6             // a random address of the prefix for documentation
)

// question is one question of a test and its answer.
type question struct {
	part part
	name string
	rec  Records
}

// test is one test of a zone, under way (RFC 5782 5). Its questions are sent side by side.
type test struct {
	questions []question
	pending   int
	done      chan struct{} // closed when it has been judged
}

// begin starts a test, unless one is under way, and returns what is closed when it ends.
func (w *watch) begin() <-chan struct{} {
	w.mu.Lock()
	t := w.test
	if t != nil {
		w.mu.Unlock()
		return t.done
	}
	t = &test{questions: testQuestions(w.zone), done: make(chan struct{})}
	t.pending = len(t.questions)
	w.test = t
	w.mu.Unlock()
	for i := range t.questions {
		w.lists.resolver.ask(w.lane, t.questions[i].name, dns.TypeA, func(rec Records) {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.questions[i].rec = rec
			if t.pending--; t.pending == 0 {
				w.end(t)
			}
		})
	}
	return t.done
}

// end judges a test. The lock is held.
func (w *watch) end(t *test) {
	defer close(t.done)
	w.test = nil
	now := w.lists.now()
	v := w.judge(t.questions)
	if !v.sure {
		w.next = now.Add(testAgain)
		if State(w.state.Load()) == Untested {
			w.why, w.fix = v.why, v.fix
		}
		w.lists.stir()
		return
	}
	w.tested = now
	w.noteError(v.code)
	if v.state == OK {
		w.next = now.Add(testEvery)
		w.six.Store(v.six)
		w.set(OK, v.why, v.fix)
	} else {
		if State(w.state.Load()) == OK || !now.Before(w.next) { // else somebody tests before the breaker's end
			w.open()
		}
		w.set(v.state, v.why, v.fix)
	}
	w.lists.stir()
}

// testQuestions makes the questions of a test.
func testQuestions(z *Zone) []question {
	label := question{part: nowhere, name: randomLabel() + "." + z.Name}
	if z.Kind == OfNames {
		q := []question{{part: mustNot, name: "invalid." + z.Name}, label}
		if z.Test != NoTest {
			q = append(q, question{part: mustList, name: "test." + z.Name})
		}
		if z.Test != NoTest && z.Test != "" {
			q = append(q, question{part: mustList, name: z.Test + "." + z.Name})
		}
		return q
	}
	q := []question{label}
	if z.IPv4 {
		if z.Test != NoTest {
			q = append(q, question{part: mustList, name: addressName(netip.AddrFrom4([4]byte{127, 0, 0, 2}), z)})
		}
		if a, err := netip.ParseAddr(z.Test); err == nil {
			q = append(q, question{part: mustList, name: addressName(a, z)})
		}
		q = append(q, question{part: mustNot, name: addressName(netip.AddrFrom4([4]byte{127, 0, 0, 1}), z)})
		for _, a := range strangers() {
			q = append(q, question{part: stranger, name: addressName(a, z)})
		}
	}
	if z.IPv6 {
		if z.Test == "" {
			q = append(q, question{part: mustList6, name: nibbleName(z, mapped(2))})
		}
		q = append(q, question{part: mustNot6, name: nibbleName(z, mapped(1))},
			question{part: stranger6, name: nibbleName(z, randomIPv6())})
	}
	return q
}

// addressName is QueryAddress, of a zone that is known to be good.
func addressName(a netip.Addr, z *Zone) string {
	name, _ := QueryAddress(a, z.Name)
	return name
}

// nibbleName is the same for an IPv6 address that stays one even if it is v4-mapped, as in the test entries.
func nibbleName(z *Zone, a [16]byte) string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, maxName)
	for i := len(a) - 1; i >= 0; i-- {
		b = append(b, hex[a[i]&15], '.', hex[a[i]>>4], '.')
	}
	return string(append(b, z.Name...))
}

// mapped returns ::FFFF:127.0.0.n, which lists of IPv6 addresses have under its 32 nibbles.
func mapped(n byte) [16]byte { return [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: n} }

// maxStrangers is enough for lists of dialup ranges, which have two in five addresses of the internet: by accident all
// are listed once in two million tests.
const maxStrangers = 16

// strangers returns random addresses of the public internet. A list of everybody lists all of them.
func strangers() (out [maxStrangers]netip.Addr) {
	for i := range out {
		for !public(out[i]) {
			n := rand.Uint32()
			out[i] = netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		}
	}
	return out
}

// randomIPv6 returns an address of 2001:db8::/32 (RFC 3849), which nobody has and lists.
func randomIPv6() [16]byte {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for i := 4; i < len(a); i++ {
		a[i] = byte(rand.Uint32())
	}
	return a
}

// randomLabel returns a label that nobody has.
func randomLabel() string {
	b := make([]byte, 20)
	for i := range b {
		b[i] = byte('a' + rand.IntN(26))
	}
	return string(b)
}
