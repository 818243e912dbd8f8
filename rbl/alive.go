package rbl

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// How a resolver finds out that its servers answer nobody.
const (
	probeTime  = 1500 * time.Millisecond // for the answer to a probe
	firstPause = time.Second             // between probes of servers that are down, doubling
	lastPause  = 10 * time.Second
)

// health tells a server that is down from a name whose own servers are stuck: a client chooses names, and three stuck
// ones must not turn DNS off. Whenever a question has waited in vain while nothing else was answered, one probe asks for
// the root's name servers, which every resolver knows. If that stays unanswered as well, nobody is asked any more until a
// later probe is answered.
type health struct {
	r     *Resolver
	lane  *lane // of the probe; whoever asks on it is not held up
	off   atomic.Bool
	last  atomic.Int64 // when an answer came, UnixNano
	begun atomic.Bool  // a probe is under way, or will be

	mu    sync.Mutex
	timer *time.Timer
	pause time.Duration
	up    []func()
}

// Down reports whether the servers answer nobody, so that nobody is asked.
func (r *Resolver) Down() bool { return r.health.down() }

// down reports whether nobody is asked.
func (h *health) down() bool { return h.off.Load() }

// heard notes that a server answered.
func (h *health) heard() { h.last.Store(time.Now().UnixNano()) }

// suspect is told of a question that has waited in vain, or could not be sent.
func (h *health) suspect() {
	if time.Since(time.Unix(0, h.last.Load())) < firstTry || h.r.closed.Load() || h.begun.Swap(true) {
		return
	}
	h.probe()
}

// probe asks for the root's name servers. Nobody else does at the time.
func (h *health) probe() {
	begin := time.Now().UnixNano()
	h.r.askFor(probeTime, h.lane, "", dns.TypeNS, func(rec Records) {
		h.judge(rec.Outcome.Answered() || h.last.Load() >= begin)
	})
}

// judge takes the outcome of a probe.
func (h *health) judge(alive bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.r.closed.Load() {
		return
	}
	was := h.off.Swap(!alive)
	if !alive {
		h.r.first.Add(maxTries) // the next probe asks the servers that this one did not get to
		h.pause = min(max(2*h.pause, firstPause), lastPause)
		h.timer = time.AfterFunc(h.pause, func() {
			h.r.reread()
			h.probe()
		})
		if !was {
			n := h.outage()
			n.Fix += "; until then no list and no rule on DNS counts"
			h.r.told(n)
		}
		return
	}
	h.pause = 0
	h.begun.Store(false)
	if was {
		h.r.told(Notice{State: OK, Was: Timeout, Text: "the DNS server answers again: " + h.r.name()})
		for _, f := range h.up {
			f()
		}
	}
}

// seeToServer is what to do while the servers answer nobody.
const seeToServer = "start the DNS server, or name another in dns.servers"

// outage is what is told when the servers answer nobody.
func (h *health) outage() Notice {
	return Notice{State: Timeout, Was: OK, Text: "the DNS server answers nobody: " + h.r.name(),
		Fix: seeToServer}
}

// Outage returns what is told of the servers while they answer nobody, and false while they answer.
func (r *Resolver) Outage() (n Notice, down bool) { return r.health.outage(), r.Down() }

// stop ends the probes.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
}

// whenUp calls f each time the servers answer again after they did not, or are others. f must not block.
func (r *Resolver) whenUp(f func()) {
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	r.health.up = append(r.health.up, f)
}

// Reread takes the servers that /etc/resolv.conf names now, if they are from there, and has the lists tested if they are
// others: who refused the old ones may answer these. A file that can't be read leaves them as they are.
func (r *Resolver) Reread() {
	if !r.reread() {
		return
	}
	r.health.mu.Lock()
	defer r.health.mu.Unlock()
	for _, f := range r.health.up {
		f()
	}
}

// reread reports whether there are other servers now.
func (r *Resolver) reread() bool {
	if r.file == "" {
		return false
	}
	servers, err := readServers(r.file)
	if err != nil || slices.Equal(servers, r.Servers()) {
		return false
	}
	r.set(servers)
	return true
}

// name names the servers for a reader.
func (r *Resolver) name() string {
	s := ""
	for i, a := range r.Servers() {
		if i > 0 {
			s += ", "
		}
		s += a.String()
	}
	return s
}
