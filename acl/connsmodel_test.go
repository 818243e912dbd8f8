package acl

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

// naive remembers every request of every process and thinks it all through each time.
type naive struct {
	past  []past
	alive map[int32]uint64
	live  map[int]uint32 // the sockets of client ports
}

type past struct {
	pid    int32
	start  uint64
	port   int
	inode  uint32
	stage  policy.Stage
	helo   string
	at     time.Time
	proven bool
	copied bool
	ended  bool
}

// note says what is known of the connection of p, and keeps it.
func (n *naive) note(p past) (known, proven bool, greetings []string) {
	var session []past
	for _, old := range n.past {
		if old.pid == p.pid && old.port == p.port && !old.ended {
			session = append(session, old)
		}
	}
	if len(session) > 0 {
		last := session[len(session)-1]
		if p.stage != policy.Connect && (last.start != p.start || p.at.Sub(last.at) > time.Hour) {
			n.end(p)
			return false, false, nil
		}
	}
	if p.stage == policy.Connect || p.stage == policy.Helo && len(session) == 0 {
		n.end(p)
		session = nil
		p.copied, p.inode = false, n.live[p.port]
		for i := range n.past {
			if old := &n.past[i]; !old.ended && !old.copied && old.port == p.port && old.inode == p.inode && old.pid != p.pid && n.alive[old.pid] == old.start {
				p.copied = true
			}
		}
		if !p.copied { // whoever had it is dead
			for i := range n.past {
				if old := &n.past[i]; old.port == p.port && old.inode == p.inode && old.pid != p.pid {
					old.copied = true
				}
			}
		}
		p.proven = p.inode != 0 && !p.copied
	} else if len(session) == 0 {
		return false, false, nil
	} else {
		last := session[len(session)-1]
		p.proven, p.copied, p.inode = last.proven, last.copied, last.inode
	}
	n.past = append(n.past, p)
	for _, old := range session {
		if old.stage == policy.Helo {
			greetings = append(greetings, old.helo)
		}
	}
	if p.stage == policy.Helo {
		greetings = append(greetings, p.helo)
	}
	greetings = slices.Compact(greetings)
	for len(greetings) > maxGreetings {
		greetings = append(greetings[:1:1], greetings[2:]...)
	}
	if p.stage == policy.Quit {
		if !p.proven {
			n.end(p)
		} else {
			for i := range n.past {
				if old := &n.past[i]; old.pid == p.pid && old.port == p.port && old.stage == policy.Helo {
					old.stage = policy.Mail
				}
			}
		}
	}
	return true, p.proven, greetings
}

// end forgets a connection.
func (n *naive) end(p past) {
	for i := range n.past {
		if old := &n.past[i]; old.pid == p.pid && old.port == p.port {
			old.ended = true
		}
	}
}

func TestTheTableAgreesWithANaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &kernel{sockets: map[[2]netip.AddrPort]origin.Socket{}, started: map[int32]uint64{}}
		model := &naive{alive: k.started, live: map[int]uint32{}}
		connect := func(port int) { // anew, if it was before
			model.live[port] += 3
			k.sockets[[2]netip.AddrPort{serverEnd, netip.AddrPortFrom(clientEnd.Addr(), uint16(port))}] = origin.Socket{Inode: model.live[port], State: origin.Established}
		}
		connect(1)
		connect(2)
		for pid := int32(1); pid <= 3; pid++ {
			k.started[pid] = uint64(pid)
		}
		conns := newConns(k)
		now := noon
		stages := rapid.SampledFrom([]policy.Stage{policy.Connect, policy.Connect, policy.Helo, policy.Helo, policy.Mail, policy.RCPT, policy.Quit})
		for i := range rapid.IntRange(1, 40).Draw(t, "requests") {
			p := past{
				pid: int32(rapid.IntRange(1, 3).Draw(t, "pid")), port: rapid.IntRange(1, 3).Draw(t, "port"),
				stage: stages.Draw(t, "stage"), helo: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "helo"),
			}
			switch rapid.IntRange(0, 19).Draw(t, "event") {
			case 0: // the process ends, and its number goes to another: not before all the other numbers
				k.started[p.pid] += 10
				now = now.Add(pidRest)
			case 1:
				now = now.Add(time.Hour + 1)
			case 2:
				connect(1)
				now = now.Add(time.Second)
			default:
				now = now.Add(time.Second)
			}
			p.start, p.at = k.started[p.pid], now
			q := &policy.Request{Stage: p.stage, Client: clientEnd.Addr(), ClientPort: p.port, Server: serverEnd.Addr(), ServerPort: 25, HELO: policy.Known(p.helo)}
			v := conns.note(exim(p.pid), q, false, now)
			_, proven, greetings := model.note(p)
			var got []string
			for _, g := range v.greetings {
				got = append(got, g.Name)
			}
			if p.stage == policy.Quit {
				got, greetings = nil, nil // seen once more or not, no rule asks
			}
			if v.proven != proven || !slices.Equal(got, greetings) {
				t.Fatalf("request %d, %s of %d from port %d: proven %v %v, the model says %v %v", i, p.stage, p.pid, p.port, v.proven, got, proven, greetings)
			}
			for tuple, key := range conns.owners {
				if e, ok := conns.table.Peek(key); !ok || e.tuple != tuple {
					t.Fatalf("%s belongs to a connection that is forgotten", fmt.Sprint(tuple))
				}
			}
		}
	})
}
