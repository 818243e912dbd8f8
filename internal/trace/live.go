package trace

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"eximpolicyd/internal/origin"
)

// A Sender is a process of this host that talks to a mail server now: to this host's own, or past it to another one, as the
// mailer of a hacked site likes to do. Exim's own deliveries are among the latter, under Exim's account.
type Sender struct {
	Client   netip.AddrPort `json:"client"`
	Server   netip.AddrPort `json:"server"`
	Here     bool           `json:"here"` // the server is this host
	UID      uint32         `json:"uid"`  // who made the socket, by the kernel
	Account  string         `json:"account,omitempty"`
	Programs []Program      `json:"programs,omitempty"` // who holds it, the oldest first; none if we may not know or it is gone
	inode    uint32
}

// A Program is a process and what it runs. Everything but the numbers was chosen by whoever started it, and is not cleaned.
type Program struct {
	PID     int32     `json:"pid"`
	Exe     string    `json:"exe,omitempty"`
	Dir     string    `json:"dir,omitempty"`
	Args    []string  `json:"args,omitempty"`
	Script  string    `json:"script,omitempty"`  // the file that an interpreter runs, else the program
	Parents []Program `json:"parents,omitempty"` // as far as they are the same user's, the nearest first
}

// maxPrograms is how many holders of one connection are told: children that inherited it add nothing.
const maxPrograms = 3

// Live returns who talks to a mail server on one of the ports now: first those who talk to this host, then by user. Whole says
// that we could look into every process, which only root can. It is a look at the kernel's tables: who came and went between
// two of them is not there.
func Live(ctx context.Context, ports []uint16) (senders []Sender, whole bool, err error) {
	connections, err := origin.Connections(ports...)
	if err != nil {
		return nil, false, err
	}
	connections = slices.DeleteFunc(connections, func(c origin.Connection) bool { return c.Inode == 0 }) // nobody holds it
	if len(connections) == 0 {
		return nil, true, nil
	}
	inodes := map[uint32]bool{}
	for _, c := range connections {
		inodes[c.Inode] = true
	}
	holders, whole, err := origin.Holders(inodes)
	if err != nil {
		return nil, false, err
	}
	var own origin.Interfaces
	here := own.Addresses(time.Now())
	for _, c := range connections {
		s := Sender{Client: c.Local, Server: c.Remote, UID: c.UID, inode: c.Inode}
		s.Here = c.Remote.Addr().IsLoopback() || slices.Contains(here, c.Remote.Addr())
		s.Account, _ = origin.Account(c.UID)
		for _, pid := range holders[c.Inode][:min(maxPrograms, len(holders[c.Inode]))] {
			if p, err := (origin.Proc{}).Look(ctx, pid); err == nil { // else it ended
				s.Programs = append(s.Programs, program(ctx, &p))
			}
		}
		senders = append(senders, s)
	}
	slices.SortStableFunc(senders, func(a, b Sender) int {
		switch {
		case a.Here == b.Here:
			return cmp.Compare(a.UID, b.UID)
		case a.Here:
			return -1
		}
		return 1
	})
	return senders, whole, nil
}

// program tells of a process and its parents.
func program(ctx context.Context, p *origin.Process) Program {
	told := runs(p)
	for _, parent := range origin.Chain(ctx, origin.Proc{}, p.PID, p.UID) {
		told.Parents = append(told.Parents, runs(&parent))
	}
	return told
}

func runs(p *origin.Process) Program {
	return Program{PID: p.PID, Exe: p.Exe, Dir: p.Dir, Args: p.Args, Script: p.Script()}
}

// Watch looks again and again, each time when tick says so, and shows every connection once; it returns when ctx or tick ends.
// It remembers those that were there at the last look, and no more.
func Watch(ctx context.Context, ports []uint16, tick <-chan time.Time, show func(new []Sender, whole bool) error) error {
	type socket struct {
		client, server netip.AddrPort
		inode          uint32
	}
	before := map[socket]bool{}
	for {
		senders, whole, err := Live(ctx, ports)
		if err != nil {
			return err
		}
		now := map[socket]bool{}
		fresh := slices.DeleteFunc(senders, func(s Sender) bool {
			key := socket{s.Client, s.Server, s.inode}
			now[key] = true
			return before[key]
		})
		before = now
		if len(fresh) > 0 {
			if err := show(fresh, whole); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case _, more := <-tick:
			if !more {
				return nil
			}
		}
	}
}
