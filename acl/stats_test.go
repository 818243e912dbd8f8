package acl

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// The clock stands still while a socket is waited for: no decision takes all its time because the machine is slow.
func TestTheServerCountsWhatItHasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, 0, func(s *Settings) { s.Prove = true })
		if diff := cmp.Diff(Stats{Stages: []StageStats{}, Rules: []RuleStats{}}, d.Stats()); diff != "" {
			t.Errorf("before anything is asked:\n%s", diff)
		}
		forged := wire(overlay(ordinary, "helo_name=mx.example.org")...)
		d.say(t, wire(ordinary...))
		d.say(t, forged)
		observe := *d.settings.Load()
		observe.Decider = deciderOf(table(policy.Observe, policy.Enforce, policy.RFC)...)
		d.Swap(&observe)
		d.say(t, forged)
		d.say(t, wire("protocol_state=CONNECT", "client_address=203.0.113.7"))
		d.say(t, "helo")
		d.say(t, "") // somebody looked whether we are there
		d.say(t, "reset")
		bypass := filepath.Join(filepath.Dir(d.path), "bypass")
		if err := os.WriteFile(bypass, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d.looked.Store(0)
		d.say(t, forged)
		want := Stats{
			Stages: []StageStats{
				{Stage: "CONNECT", Dunno: 1, Synthetic: 1, Budget: Budget(policy.Connect)},
				{Stage: "RCPT", Dunno: 2, Deny: 1, Would: 1, Synthetic: 3, Budget: Budget(policy.RCPT)},
			},
			Rules:     []RuleStats{{Rule: "helo.H3", Hits: 2, Refused: 1, Would: 1}},
			Malformed: 1, Bypassed: 1, Bypass: bypass,
		}
		if diff := cmp.Diff(want, d.Stats()); diff != "" {
			t.Error(diff)
		}
		if n := want.Stages[1].Decisions(); n != 3 {
			t.Errorf("%d decisions", n)
		}
	})
}

func TestEveryActionIsCountedForItself(t *testing.T) {
	s := &Server{}
	for a := policy.Dunno; a <= policy.Freeze; a++ {
		for range 1 << a {
			s.counters.count(&Decision{Stage: policy.RCPT, Action: a}, false)
		}
	}
	want := StageStats{Stage: "RCPT", Dunno: 1, Delay: 2, Defer: 4, Deny: 8, Drop: 16, Freeze: 32, Budget: Budget(policy.RCPT)}
	got := s.Stats().Stages
	if diff := cmp.Diff([]StageStats{want}, got); diff != "" {
		t.Error(diff)
	}
	if want.Decisions() != 63 || want.Refused() != 60 {
		t.Errorf("%d decisions, %d refused", want.Decisions(), want.Refused())
	}
}

func TestThoseTurnedAwayAreCountedByWhy(t *testing.T) {
	d := open(t, 1, nil)
	held := d.dial(t)
	d.say(t, wire(ordinary...))
	d.say(t, wire(ordinary...))
	io.WriteString(held, wire(ordinary...))
	hear(t, held)
	nobody := *d.settings.Load()
	nobody.Peers = nil
	d.Swap(&nobody)
	d.say(t, wire(ordinary...))
	if got := d.Stats(); got.Busy != 2 || got.Refused != 1 {
		t.Errorf("busy %d, refused %d", got.Busy, got.Refused)
	}
}

func TestARequestOnWhichWeFailIsCounted(t *testing.T) {
	d := open(t, 0, func(s *Settings) { s.Decider = nil })
	d.say(t, wire(ordinary...))
	if got := d.Stats(); got.Failed != 1 || len(got.Stages) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestADecisionThatTakesAllItsTimeOrLacksAFactIsCounted(t *testing.T) {
	d := open(t, 0, nil)
	theirs, ours := pair(t)
	defer theirs.Close()
	synctest.Test(t, func(t *testing.T) {
		settings := *d.settings.Load()
		w := &witness{}
		settings.Observer = w
		settings.Decider = deciderOf(watcher(atRCPT, func(*policy.Request, *policy.Facts) { time.Sleep(Budget(policy.RCPT)) }))
		d.decide(ours, &settings, origin.Peer{}, rcpt(t), 100, false)
		if !slices.Equal(w.took, []time.Duration{Budget(policy.RCPT)}) {
			t.Errorf("an observer is told that it took %v", w.took)
		}
	})
	d.counters.count(&Decision{Stage: policy.RCPT, Degraded: true}, false)
	if got := d.Stats(); len(got.Stages) != 1 || got.Stages[0].Overrun != 1 || got.Stages[0].Degraded != 1 {
		t.Errorf("%+v", got)
	}
}

// pair returns two ends of a Unix socket.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// witness is an observer that remembers.
type witness struct {
	mu   sync.Mutex
	seen []string
	took []time.Duration
}

func (w *witness) Observe(d *Decision, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took)
	w.seen = append(w.seen, d.Stage.String()+" "+d.Action.String()+" "+d.Rule)
}

func TestAnObserverIsToldOfEachDecisionAndOfNothingElse(t *testing.T) {
	w := &witness{}
	d := open(t, 0, func(s *Settings) { s.Observer = w })
	d.say(t, "hello")
	d.say(t, "reset")
	d.say(t, wire("protocol_state=CONNECT", "client_address=203.0.113.7"))
	awaitSeats(t, d, 0) // an observer hears after Exim
	d.say(t, wire(overlay(ordinary, "helo_name=mx.example.org")...))
	bypass := filepath.Join(filepath.Dir(d.path), "bypass")
	if err := os.WriteFile(bypass, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.looked.Store(0)
	d.say(t, wire(ordinary...))
	if err := os.Remove(bypass); err != nil {
		t.Fatal(err)
	}
	d.looked.Store(0)
	unobserved := *d.settings.Load()
	unobserved.Observer = nil
	d.Swap(&unobserved)
	d.say(t, wire(ordinary...))
	awaitSeats(t, d, 0)
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff([]string{"CONNECT dunno ", "RCPT deny helo.H3"}, w.seen); diff != "" {
		t.Error(diff)
	}
}

// Whoever goes on sending is listened to after the decision, which takes no longer for it.
func TestADecisionTakesAsLongToAnObserverAndInTheLogAsItIsExplained(t *testing.T) {
	const times = 20
	w := &witness{}
	d := open(t, 0, func(s *Settings) { s.Observer = w })
	for range times {
		d.say(t, wire(ordinary...)+"more")
	}
	awaitSeats(t, d, 0)
	var explained, observed, logged []string
	for _, line := range d.Ring().Last(times) {
		var x Explanation
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		explained = append(explained, fmt.Sprint(x.Took))
	}
	for _, took := range w.took {
		observed = append(observed, fmt.Sprint(took.Microseconds()))
	}
	for _, m := range regexp.MustCompile(`msg=decision .* us=(\d+)`).FindAllStringSubmatch(d.log.String(), -1) {
		logged = append(logged, m[1])
	}
	for _, list := range [][]string{explained, observed, logged} {
		if slices.Sort(list); len(list) != times || !slices.Equal(list, explained) {
			t.Errorf("explained %v, observed %v, logged %v", explained, observed, logged)
		}
	}
}

func TestSeatsThatAreTakenAreToldOf(t *testing.T) {
	d := open(t, 3, nil)
	held := []*net.UnixConn{d.dial(t), d.dial(t)}
	awaitSeats(t, d, len(held))
	if _, all := d.Seats(); all != 3 {
		t.Errorf("%d seats", all)
	}
	for _, c := range held {
		c.Close()
	}
	awaitSeats(t, d, 0)
}

// awaitSeats returns when so many seats are taken; the test's own time-out bounds it.
func awaitSeats(t *testing.T, d *door, want int) {
	t.Helper()
	for taken, _ := d.Seats(); taken != want; taken, _ = d.Seats() {
		if t.Context().Err() != nil {
			t.Fatalf("%d seats are taken, want %d", taken, want)
		}
		runtime.Gosched()
	}
}
