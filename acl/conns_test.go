package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eximpolicyd/internal/origin"
	"eximpolicyd/policy"
)

var (
	serverEnd = netip.MustParseAddrPort("192.0.2.2:25")
	clientEnd = netip.MustParseAddrPort("203.0.113.7:4321")
	proxyEnd  = netip.MustParseAddrPort("10.0.0.1:5555")
	localEnd  = netip.MustParseAddrPort("192.0.2.2:4321")
)

// world has the sockets of one connection from outside, one through a proxy, and one from this host.
func world() *kernel {
	live := origin.Socket{UID: 103, Inode: 1, State: origin.Established}
	return &kernel{
		sockets: map[[2]netip.AddrPort]origin.Socket{
			{serverEnd, clientEnd}: live, {serverEnd, proxyEnd}: live, {serverEnd, localEnd}: live,
			{localEnd, serverEnd}: {UID: 65534, Inode: 2, State: origin.Established},
		},
		started: map[int32]uint64{10: 100, 11: 110, 12: 120},
	}
}

// at is a request at a stage of the ordinary client, with changes.
func at(t testing.TB, stage string, words ...string) *policy.Request {
	t.Helper()
	return rcpt(t, append([]string{"protocol_state=" + stage}, words...)...)
}

// names are the greetings of a view.
func names(v view) string {
	var list []string
	for _, g := range v.greetings {
		if g.TLS {
			g.Name += "/TLS"
		}
		list = append(list, g.Name)
	}
	return strings.Join(list, " ")
}

func TestAConnectionIsProvenByItsSocket(t *testing.T) {
	for _, c := range []struct {
		name   string
		words  []string
		change func(k *kernel)
		proven bool
	}{
		{"an established one", nil, nil, true},
		{"one whose client has said all", nil, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{serverEnd, clientEnd}] = origin.Socket{UID: 103, Inode: 1, State: origin.CloseWait}
		}, true},
		{"one that is in TIME-WAIT", nil, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{serverEnd, clientEnd}] = origin.Socket{UID: 103, Inode: 1, State: origin.TimeWait}
		}, false},
		{"one that inetd took for Exim", nil, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{serverEnd, clientEnd}] = origin.Socket{Inode: 1, State: origin.Established}
		}, true},
		{"one of a service of root's that is no mail server", []string{"server_port=22"}, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:22"), clientEnd}] = origin.Socket{Inode: 1, State: origin.Established}
		}, false},
		{"one of a user of this machine", nil, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{serverEnd, clientEnd}] = origin.Socket{UID: 33, Inode: 1, State: origin.Established}
		}, false},
		{"one of Exim's, named by an Exim that a user started", nil, func(k *kernel) { k.exec = map[int32]bool{10: true} }, false},
		{"one that nobody holds", nil, func(k *kernel) {
			k.sockets[[2]netip.AddrPort{serverEnd, clientEnd}] = origin.Socket{State: origin.Established}
		}, false},
		{"one that is not there", []string{"client_port=4322"}, nil, false},
		{"one to another port of ours", []string{"server_port=587"}, nil, false},
		{"exim -bh, without ports", []string{"client_port=0", "server_port=-1"}, nil, false},
		{"exim -bh, with a server's address and no port of the client", []string{"client_port=0"}, nil, false},
		{"one without a server's address", []string{"server_address"}, nil, false},
		{"a port beyond 16 bits, which is no other port", []string{"client_port=69857"}, nil, false},
		{"a kernel that can't be asked", nil, func(k *kernel) { k.broken = errors.New("no netlink") }, false},
		{"a process that is gone", nil, func(k *kernel) { delete(k.started, 10) }, false},
		{"one through a proxy", []string{"client_address=198.51.100.1", "proxy_local_address=10.0.0.1", "proxy_local_port=5555"}, nil, true},
		{"one through a proxy that is not there", []string{"proxy_local_address=10.0.0.1", "proxy_local_port=5556"}, nil, false},
		{"one through a proxy without a port", []string{"proxy_local_address=10.0.0.1"}, nil, false},
	} {
		k := world()
		if c.change != nil {
			c.change(k)
		}
		conns := newConns(k)
		if v := conns.note(exim(10), at(t, "CONNECT", c.words...), false, noon); v.proven != c.proven {
			t.Errorf("%s: proven %v at CONNECT", c.name, v.proven)
		}
		if v := conns.note(exim(10), at(t, "RCPT", c.words...), false, noon); v.proven != c.proven {
			t.Errorf("%s: proven %v at RCPT", c.name, v.proven)
		}
	}
}

func TestTheOwnerOfALocalConnection(t *testing.T) {
	local := []string{"client_address=192.0.2.2"}
	for _, c := range []struct {
		name   string
		own    bool
		socket origin.Socket
		want   policy.Maybe[uint32]
	}{
		{"a user", true, origin.Socket{UID: 65534, Inode: 2, State: origin.Established}, policy.Known(uint32(65534))},
		{"root", true, origin.Socket{UID: 0, Inode: 2, State: origin.Established}, policy.Known(uint32(0))},
		{"one who has closed his end, which the kernel calls root's", true, origin.Socket{UID: 0, State: origin.FinWait2}, policy.Maybe[uint32]{}},
		{"a client from outside", false, origin.Socket{UID: 65534, Inode: 2, State: origin.Established}, policy.Maybe[uint32]{}},
	} {
		k := world()
		k.sockets[[2]netip.AddrPort{localEnd, serverEnd}] = c.socket
		conns := newConns(k)
		v := conns.note(exim(10), at(t, "CONNECT", local...), c.own, noon)
		if v.uid.Known != c.want.Known || v.uid.Known && v.uid != c.want {
			t.Errorf("%s: uid %v, want %v", c.name, v.uid, c.want)
		}
		k.sockets[[2]netip.AddrPort{localEnd, serverEnd}] = origin.Socket{UID: 1, Inode: 3, State: origin.Established}
		if later := conns.note(exim(10), at(t, "RCPT", local...), c.own, noon); later.uid != v.uid {
			t.Errorf("%s: uid %v at RCPT, where it was %v at CONNECT", c.name, later.uid, v.uid)
		}
	}
}

func TestATupleBelongsToTheFirstThatNamedIt(t *testing.T) {
	k := world()
	conns := newConns(k)
	proven := func(pid int32, stage string) bool {
		return conns.note(exim(pid), at(t, stage, "helo_name=h"), false, noon).proven
	}
	if !proven(10, "CONNECT") {
		t.Error("the first is not proven")
	}
	if proven(11, "CONNECT") || proven(11, "HELO") || proven(11, "RCPT") {
		t.Error("a copy is proven")
	}
	if !proven(10, "RCPT") || !proven(10, "CONNECT") {
		t.Error("the first has lost its connection to a copy")
	}
	proven(11, "QUIT")
	if !proven(10, "RCPT") || proven(12, "CONNECT") {
		t.Error("the copy's QUIT ended the first's ownership")
	}
	if proven(10, "QUIT"); proven(12, "CONNECT") {
		t.Error("a copy is proven while the first, after its QUIT, still holds the connection")
	}
	k.started[10] = 101 // the pid is another process now
	if !proven(12, "CONNECT") {
		t.Error("the first is dead, and the second may not have its connection")
	}
	delete(k.started, 12)
	if !proven(11, "CONNECT") {
		t.Error("the second is gone, and the third may not have its connection")
	}
}

func TestAPortThatIsUsedAgainIsAnotherConnection(t *testing.T) {
	for name, words := range map[string][]string{
		"from a client": nil,
		"from a proxy":  {"proxy_local_address=10.0.0.1", "proxy_local_port=5555"},
	} {
		k := world()
		conns := newConns(k)
		proven := func(pid int32, stage string) bool {
			return conns.note(exim(pid), at(t, stage, append([]string{"helo_name=h"}, words...)...), false, noon).proven
		}
		if !proven(10, "CONNECT") || !proven(10, "QUIT") {
			t.Fatalf("%s: not proven", name)
		}
		for ends, socket := range k.sockets { // Exim's process has still to end when the port is used again
			socket.Inode += 100
			k.sockets[ends] = socket
		}
		if !proven(11, "CONNECT") || !proven(11, "RCPT") {
			t.Errorf("%s: a new connection is taken for a copy of the one before", name)
		}
		if proven(12, "CONNECT") {
			t.Errorf("%s: a copy of the new connection is proven", name)
		}
	}
}

func TestAProcessThatAskedJustNowIsNotLookedUpAgain(t *testing.T) {
	k := world()
	conns := newConns(k)
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	delete(k.started, 10)
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(pidRest-1)); !v.proven {
		t.Error("looked up again, though no other process can have its number yet")
	}
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(2*pidRest-1)); v.proven {
		t.Error("not looked up, though another process may have its number")
	}
}

func TestAReusedPidIsAnotherConnection(t *testing.T) {
	k := world()
	conns := newConns(k)
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	conns.note(exim(10), at(t, "HELO", "helo_name=old"), false, noon)
	k.started[10]++
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(pidRest)); v.proven || v.greetings != nil {
		t.Errorf("the new process inherits %+v", v)
	}
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	if v := conns.note(exim(10), at(t, "HELO", "helo_name=new"), false, noon); !v.proven || names(v) != "new" {
		t.Errorf("the new process has %+v", v)
	}
}

func TestAConnectionIsForgottenAfterAnHour(t *testing.T) {
	conns := newConns(world())
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	if v := conns.note(exim(10), at(t, "MAIL"), false, noon.Add(connIdle)); !v.proven {
		t.Error("forgotten within the hour")
	}
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(2*connIdle+1)); v.proven {
		t.Error("remembered beyond the hour")
	}
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(2*connIdle+1)); v.proven {
		t.Error("remembered again")
	}
}

func TestWhatWasNotSeenToBeginIsUnknown(t *testing.T) {
	for _, stage := range []string{"MAIL", "RCPT", "PREDATA", "MIME", "DATA", "QUIT", "NOTQUIT"} {
		conns := newConns(world())
		if v := conns.note(exim(10), at(t, stage), true, noon); v.proven || v.uid.Known || v.greetings != nil || v.onlyPostmaster || conns.table.Len()+conns.claims.Len() != 0 {
			t.Errorf("%s: %+v", stage, v)
		}
	}
	conns := newConns(world())
	if v := conns.note(exim(10), at(t, "HELO", "helo_name=a"), false, noon); !v.proven || names(v) != "a" {
		t.Errorf("where Exim does not ask at CONNECT, HELO begins: %+v", v)
	}
	if v := conns.note(exim(0), at(t, "CONNECT"), false, noon); v.proven {
		t.Error("a process that we can't see is proven")
	}
	if v := conns.note(exim(10), at(t, "CONNECT", "client_address"), false, noon); v.proven || conns.table.Len() != 1 {
		t.Error("a local submission has a connection")
	}
}

// meanwhile is a kernel in which something happens while it is asked about process 10.
type meanwhile struct {
	*kernel
	happens func()
}

func (m *meanwhile) Started(pid int32) (uint64, error) {
	if happens := m.happens; pid == 10 && happens != nil {
		m.happens = nil
		happens()
	}
	return m.kernel.Started(pid)
}

func TestOfTwoWhoNameADeadOnesTupleAtOnceOnlyOneHasIt(t *testing.T) {
	world := &meanwhile{kernel: world()}
	conns := newConns(world)
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	delete(world.started, 10)
	var second view
	world.happens = func() { second = conns.note(exim(12), at(t, "CONNECT"), false, noon) }
	first := conns.note(exim(11), at(t, "CONNECT"), false, noon) // sees that 10 is dead; by then 12 has it
	if first.proven || !second.proven {
		t.Errorf("proven: who came first %v, who was first %v", first.proven, second.proven)
	}
}

func TestWhoInventsConnectionsPushesOutNoneThatIsProven(t *testing.T) {
	kernel := world()
	conns := newConns(kernel)
	if v := conns.note(exim(10), at(t, "CONNECT"), false, noon); !v.proven {
		t.Fatal("a real connection is not proven")
	}
	for pid := range int32(maxConns + maxClaims) {
		kernel.started[pid+1000] = 1
		conns.note(exim(pid+1000), at(t, "CONNECT", fmt.Sprint("client_port=", 1+pid%60000), "client_address=203.0.113.99"), false, noon)
	}
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon); !v.proven {
		t.Error("invented connections pushed out a proven one")
	}
	if n := conns.claims.Len(); n != maxClaims {
		t.Errorf("%d invented connections are remembered, not %d", n, maxClaims)
	}
	if n := len(conns.owners); n != 1 {
		t.Errorf("%d owners: who invents a connection has none", n)
	}
}

func TestTheTableIsBounded(t *testing.T) {
	conns := newConns(everywhere{})
	for pid := range int32(maxConns + 100) {
		conns.note(exim(pid+1), at(t, "CONNECT", fmt.Sprint("client_port=", 1+pid%60000)), false, noon)
	}
	if n := conns.table.Len(); n != maxConns || len(conns.owners) > maxConns {
		t.Errorf("%d connections and %d owners, at most %d", n, len(conns.owners), maxConns)
	}
	for tuple, key := range conns.owners {
		if e, ok := conns.table.Peek(key); !ok || e.tuple != tuple {
			t.Fatalf("%v belongs to %v, which is forgotten", tuple, key)
		}
	}
}

func TestGreetingsAreBounded(t *testing.T) {
	conns := newConns(world())
	said := map[string]view{} // what was seen must not change behind the back of who sees it
	hello := func(name string, words ...string) string {
		v := conns.note(exim(10), at(t, "HELO", append(words, "helo_name="+name)...), false, noon)
		said[names(v)] = v
		return names(v)
	}
	conns.note(exim(10), at(t, "CONNECT"), false, noon)
	hello("a")
	for _, step := range []struct{ name, want string }{
		{"a", "a"}, {"b", "a b"}, {"b", "a b"}, {"a", "a b a"}, {"c", "a b a c"}, {"d", "a a c d"}, {"e", "a c d e"},
	} {
		if got := hello(step.name); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	for want, v := range said {
		if names(v) != want {
			t.Errorf("an old view, %q, changed to %q", want, names(v))
		}
	}
	if got := hello("e", "tls_cipher=x"); got != "a d e e/TLS" {
		t.Errorf("inside TLS: %q", got)
	}
	if got := hello(strings.Repeat("x", 600)); len(got) != len("a e e/TLS ")+maxGreeting {
		t.Errorf("a name of 600 octets leaves %d", len(got))
	}
	if v := conns.note(exim(10), at(t, "HELO", "helo_name"), false, noon); len(v.greetings) != 4 || v.greetings[3].Name == "" {
		t.Errorf("a greeting that is not known is remembered: %q", names(v))
	}
}

func TestPostmasterAlone(t *testing.T) {
	for _, c := range []struct{ name, dialogue, want string }{
		{"postmaster", "M P0 D1", "0 0 1"},
		{"abuse and postmaster", "M A0 P1 D2", "0 0 1 1"},
		{"another", "M o0 D1", "0 0 0"},
		{"postmaster, then another", "M P0 o1 D2", "0 0 1 0"},
		{"another, then postmaster", "M o0 P1 D2", "0 0 0 0"},
		{"another who was refused, then postmaster", "M o0 P0 D1", "0 0 0 1"},
		{"postmaster refused, then another", "M P0 o0 D1", "0 0 0 0"},
		{"postmaster, then another who was refused", "M P0 o1 D1", "0 0 1 1"},
		{"nobody was taken", "M P0 D0", "0 0 0"},
		{"a second message, to another", "M P0 D1 M o0 D1", "0 0 1 0 0 0"},
		{"RSET, and the next MAIL", "M o0 P1 M P0 D1", "0 0 0 0 0 1"},
		{"a message whose MAIL was not seen", "M o0 D1 P0 D1", "0 0 0 0 1"},
		{"recipients that were not asked about", "M P0 D3", "0 0 0"},
		{"a number that is not known", "M P-1 D1", "0 0 0"},
	} {
		conns := newConns(world())
		conns.note(exim(10), at(t, "CONNECT"), false, noon)
		var got []string
		for _, step := range strings.Fields(c.dialogue) {
			words := []string{"recipient_count=" + step[1:]}
			stage := "RCPT"
			switch step[0] {
			case 'M':
				stage = "MAIL"
			case 'D':
				stage = "DATA"
			case 'P':
				words = append(words, "recipient=Postmaster")
			case 'A':
				words = append(words, "recipient=ABUSE@example.org")
			default:
				words = append(words, "recipient=postmasters@example.org")
			}
			if conns.note(exim(10), at(t, stage, words...), false, noon).onlyPostmaster {
				got = append(got, "1")
			} else {
				got = append(got, "0")
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s gives %v, want %s", c.name, c.dialogue, got, c.want)
		}
	}
}

func TestGoneConnectionsMakeRoom(t *testing.T) {
	conns := newConns(nowhere{})
	for range 3 {
		conns.note(exim(10), at(t, "CONNECT"), false, noon)
		conns.note(exim(10), at(t, "NOTQUIT"), false, noon)
	}
	if conns.table.Len() != 0 || len(conns.owners) != 0 {
		t.Errorf("%d connections, %d owners after their end", conns.table.Len(), len(conns.owners))
	}
	if v := conns.note(exim(10), at(t, "RCPT"), false, noon.Add(time.Second)); v.proven {
		t.Error("known after its end")
	}
}
