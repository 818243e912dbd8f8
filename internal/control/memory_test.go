package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eximpolicyd/acl"
	"eximpolicyd/internal/ledger"
	"eximpolicyd/rbl"
)

// noon is when the tests take place, on the wall; the memory's own clock begins there too, and the wall's is an hour ahead.
var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// clocks are those of a memory, set by hand.
type clocks struct {
	wall   time.Time
	steady time.Duration
}

func (c *clocks) read() (time.Time, time.Duration) { return c.wall, c.steady }

// pass lets time go by.
func (c *clocks) pass(d time.Duration) { c.wall, c.steady = c.wall.Add(d), c.steady+d }

// remembering starts a server with a memory that keeps a folder; "" for none.
func remembering(t *testing.T, dir string) (socket string, memory *ledger.Engine, clock *clocks) {
	t.Helper()
	clock = &clocks{wall: noon}
	memory, err := ledger.Open(ledger.Options{Dir: dir, Clock: clock.read})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() }) // that it could not save is what some tests are about
	socket, _ = started(t, &Server{
		Lists: func() []rbl.ZoneHealth { return health }, Memory: memory, Refuses: refuses,
		Status: func() Status { return Status{Mode: "enforce", DNS: DNSAsked} },
	})
	return socket, memory, clock
}

// refuses is a daemon that enforces everything.
func refuses(b *ledger.Ban) bool { return b.Enforced }

func network(text string) netip.Prefix { return netip.MustParsePrefix(text) }

// do asks for one thing.
func do[T any](t *testing.T, socket string, q Request) (reply T) {
	t.Helper()
	if err := Ask(socket, q, &reply); err != nil {
		t.Fatalf("%s: %v", q.Request, err)
	}
	return reply
}

// lines asks for several.
func lines[T any](t *testing.T, socket string, q Request) (list []T) {
	t.Helper()
	if err := Each(socket, q, func(thing T) { list = append(list, thing) }); err != nil {
		t.Fatalf("%s: %v", q.Request, err)
	}
	return list
}

func TestABanIsMadeShownExplainedAndLifted(t *testing.T) {
	socket, _, clock := remembering(t, t.TempDir())
	clock.wall = clock.wall.Add(time.Hour) // somebody has set it
	made := do[Ban](t, socket, Request{Request: Bar, Network: network("192.0.2.0/24"), Seconds: 3600, Because: "calls every night"})
	want := Ban{Active: true, Refuses: true, Left: 3600, Ban: ledger.Ban{
		Network: network("192.0.2.0/24"), Enforced: true, Rule: ledger.Admin, Because: "calls every night", Durable: true,
		Made: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour),
	}}
	if diff := cmp.Diff(want, made, prefixes); diff != "" {
		t.Error(diff)
	}
	do[Allowed](t, socket, Request{Request: Allow, Network: network("192.0.2.7/32")})
	clock.pass(30 * time.Minute)
	want.Left = 1800
	if diff := cmp.Diff([]Ban{want}, lines[Ban](t, socket, Request{Request: Bans}), prefixes); diff != "" {
		t.Error(diff)
	}
	let := Allowed{Allowed: ledger.Allowed{Network: network("192.0.2.7/32"), Durable: true, Made: noon.Add(time.Hour)}}
	if diff := cmp.Diff([]Allowed{let}, lines[Allowed](t, socket, Request{Request: Allows}), prefixes); diff != "" {
		t.Error(diff)
	}
	why := Reasons{Network: network("192.0.2.7/32"), Bans: []Ban{want}, Allowed: []Allowed{let}}
	if diff := cmp.Diff(why, do[Reasons](t, socket, Request{Request: Why, Network: network("192.0.2.7/32")}), prefixes); diff != "" {
		t.Error(diff)
	}
	if got := do[Lifted](t, socket, Request{Request: Unban, Network: network("192.0.2.0/24")}); len(got.Bans) != 1 || got.Unsaved.Unsaved {
		t.Errorf("%+v", got)
	}
	for _, known := range []bool{true, false} {
		if got := do[Disallowed](t, socket, Request{Request: Disallow, Network: network("192.0.2.7/32")}); got.Known != known {
			t.Errorf("%+v", got)
		}
	}
	if got := lines[Ban](t, socket, Request{Request: Bans, All: true}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestTheLogTellsWhatAnAdministratorChangesButNotWhomHeWantsForgotten(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	socket, log := started(t, &Server{Memory: memory, Refuses: refuses})
	do[Ban](t, socket, Request{Request: Bar, Network: network("192.0.2.7/32"), Seconds: 60, Because: "a reason"})
	lines[Ban](t, socket, Request{Request: Bans})
	do[Erased](t, socket, Request{Request: Forget, Network: network("192.0.2.7/32")})
	do[Erased](t, socket, Request{Request: Forget, Account: "alice"})
	want := []string{`request=ban uid=0 network=192.0.2.7/32 for_s=60 because="a reason"`, "request=forget uid=0\n", "request=forget uid=0\n"}
	got := strings.ReplaceAll(log.String(), fmt.Sprintf("uid=%d", os.Getuid()), "uid=0")
	for _, w := range want {
		before, after, found := strings.Cut(got, w)
		if !found || strings.Count(before, "\n") > 0 && !strings.HasSuffix(w, "\n") {
			t.Errorf("no %q in the log:\n%s", w, log.String())
		}
		got = after
	}
	if strings.Contains(log.String(), "alice") || strings.Count(log.String(), "192.0.2.7") != 1 || strings.Contains(log.String(), "bans") {
		t.Errorf("the log:\n%s", log.String())
	}
}

func TestWhatIsOverIsShownOnlyWhenItIsAskedFor(t *testing.T) {
	socket, _, clock := remembering(t, "")
	do[Ban](t, socket, Request{Request: Bar, Network: network("192.0.2.7/32"), Seconds: 60})
	do[Allowed](t, socket, Request{Request: Allow, Network: network("192.0.2.7/32"), Seconds: 60})
	clock.pass(time.Minute)
	if got := lines[Ban](t, socket, Request{Request: Bans}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := lines[Ban](t, socket, Request{Request: Bans, All: true}); len(got) != 1 || got[0].Active || got[0].Left != 0 {
		t.Errorf("%+v", got)
	}
	if got := lines[Allowed](t, socket, Request{Request: Allows}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := do[Reasons](t, socket, Request{Request: Why, Network: network("192.0.2.7/32")}); len(got.Bans) != 1 || len(got.Allowed) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsNotOnTheDiskIsNeverSaidToBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket, _, _ := remembering(t, filepath.Join(file, "folder"))
	if got := do[Ban](t, socket, Request{Request: Bar, Network: network("192.0.2.7/32")}); got.Durable || !got.Active {
		t.Errorf("%+v", got)
	}
	if got := do[Allowed](t, socket, Request{Request: Allow, Network: network("192.0.2.8/32")}); got.Durable {
		t.Errorf("%+v", got)
	}
	if got := do[Disallowed](t, socket, Request{Request: Disallow, Network: network("192.0.2.8/32")}); !got.Known || !got.Unsaved.Unsaved {
		t.Errorf("%+v", got)
	}
	if got := do[Lifted](t, socket, Request{Request: Unban, Network: network("192.0.2.7/32")}); len(got.Bans) != 1 || !got.Unsaved.Unsaved {
		t.Errorf("%+v", got)
	}
	if got := do[Erased](t, socket, Request{Request: Forget, Network: network("192.0.2.0/24")}); !got.Unsaved.Unsaved {
		t.Errorf("%+v", got)
	}
	st := do[Status](t, socket, Request{Request: Stands})
	if len(st.Faults) != 1 || st.Faults[0].Why == "" || st.Faults[0].Fix == "" || st.Memory.Fault == "" {
		t.Errorf("%+v", st)
	}
}

func TestAMemoryGoesFromOneDaemonToAnother(t *testing.T) {
	from, memory, _ := remembering(t, "")
	do[Ban](t, from, Request{Request: Bar, Network: network("192.0.2.7/32"), Because: "<&>"})
	do[Allowed](t, from, Request{Request: Allow, Network: network("2001:db8::/64")})
	if err := memory.Count(context.Background(), []ledger.Tally{{Key: ledger.Account("alice"), Add: ledger.Delta{Failed: 3}}}); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	n, err := Save(from, &text)
	if err != nil || n != 4 || strings.Count(text.String(), "\n") != 4 {
		t.Fatalf("%d lines, %v:\n%s", n, err, text.String())
	}
	to, _, _ := remembering(t, "")
	taken, err := Send(to, bytes.NewReader(text.Bytes()), int64(text.Len()))
	if want := (ledger.Imported{Bans: 1, Allowed: 1, Counters: 1}); err != nil || taken.Imported != want {
		t.Fatalf("%+v, %v", taken, err)
	}
	var again bytes.Buffer
	if _, err := Save(to, &again); err != nil || again.String() != text.String() {
		t.Errorf("%v\n%s\n%s", err, text.String(), again.String())
	}
	for _, known := range []bool{true, false} {
		if got := do[Erased](t, to, Request{Request: Forget, Account: "alice"}); got.Account != known {
			t.Errorf("%+v", got)
		}
	}
	if got := do[Erased](t, to, Request{Request: Forget, Network: network("192.0.2.0/24")}); got.Bans != 1 {
		t.Errorf("%+v", got)
	}
}

func TestARequestThatIsWrongChangesNothing(t *testing.T) {
	socket, memory, _ := remembering(t, "")
	do[Ban](t, socket, Request{Request: Bar, Network: network("198.51.100.7/32")})
	head := "{\"eximpolicyd\":\"state\",\"version\":1,\"made\":\"2026-12-01T12:00:00Z\"}\n"
	for _, c := range []struct{ name, raw, want string }{
		{"no network", `{"request":"ban"}`, "names no network"},
		{"an empty network", `{"request":"ban","network":""}`, "names no network"},
		{"no network in JSON", `{"request":"ban","network":7}`, "no request in JSON"},
		{"a word for a network", `{"request":"ban","network":"everybody"}`, "no request in JSON"},
		{"bits beyond the size", `{"request":"ban","network":"192.0.2.7/24"}`, "is no network"},
		{"a mapped network", `{"request":"allow","network":"::ffff:192.0.2.0/120"}`, "is no network"},
		{"a zone", `{"request":"ban","network":"fe80::1%lo/64"}`, "no request in JSON"},
		{"half a client", `{"request":"allow","network":"2001:db8::1/128"}`, "is no network"},
		{"everybody", `{"request":"ban","network":"0.0.0.0/0"}`, "0.0.0.0/0 is wider than /8"},
		{"everybody, let in", `{"request":"allow","network":"::/0"}`, "::/0 is wider than /16"},
		{"less than no time", `{"request":"ban","network":"192.0.2.7/32","for_s":-1}`, "-1 s is no time from a second to 3650 days"},
		{"more time than there is", `{"request":"ban","network":"192.0.2.7/32","for_s":9223372036854775807}`, "is no time from"},
		{"a part of a second", `{"request":"ban","network":"192.0.2.7/32","for_s":0.5}`, "no request in JSON"},
		{"a reason of two lines", `{"request":"ban","network":"192.0.2.7/32","because":"a\nb"}`, "one line of printable characters"},
		{"a long reason", `{"request":"ban","network":"192.0.2.7/32","because":"` + strings.Repeat("x", 201) + `"}`, "201 octets"},
		{"forgetting nobody", `{"request":"forget"}`, "names no network"},
		{"an import of less than nothing", `{"request":"import","size":-1}`, "at most"},
		{"an import of too much", `{"request":"import","size":134217729}`, "at most 134217728 octets, not 134217729"},
		{"an import of too much, with octets that nobody reads", `{"request":"import","size":134217729}` + "\n" + strings.Repeat("x", 100_000), "at most"},
		{"an import of nothing", `{"request":"import","size":0}`, "line 1"},
		{"an import that is cut", `{"request":"import","size":1000}` + "\n" + head + `{"allowed":{"network":"192.0.2.9/32"`, "unexpected EOF"},
		{"an import that is cut between two lines", `{"request":"import","size":1000}` + "\n" + strings.TrimSuffix(head, "\n"), "unexpected EOF"},
		{"an import with a mistake", fmt.Sprintf(`{"request":"import","size":%d}`, len(head)+5) + "\n" + head + "false", "line 2"},
		{"a word we do not know", `{"request":"burn"}`, `no such request: \"burn\"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := exported(t, memory)
			if got := raw(t, socket, c.raw+"\n"); !strings.HasPrefix(got, `{"error":"`) || !strings.Contains(got, c.want) ||
				!strings.HasSuffix(got, "\"kind\":\"wrong\"}\n") {
				t.Errorf("%s", got)
			}
			if after := exported(t, memory); after != before {
				t.Errorf("what is remembered has changed:\n%s\n%s", before, after)
			}
		})
	}
}

func exported(t *testing.T, m Memory) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.Export(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// raw sends what no command of ours would.
func raw(t *testing.T, socket, text string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

func TestAWideNetworkIsBannedIfItIsMeant(t *testing.T) {
	socket, _, _ := remembering(t, "")
	if got := do[Ban](t, socket, Request{Request: Bar, Network: network("0.0.0.0/0"), Wide: true}); !got.Active {
		t.Errorf("%+v", got)
	}
}

func TestABanRefusesOnlyWhatTheDaemonWouldRefuse(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	socket, _ := started(t, &Server{
		Memory: memory, Refuses: func(b *ledger.Ban) bool { return b.Network.Bits() == 32 },
		Spared: func() []netip.Prefix {
			return []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), network("::1/128")}
		},
	})
	for text, want := range map[string]bool{"192.0.2.7/32": true, "192.0.2.0/24": false} {
		if got := do[Ban](t, socket, Request{Request: Bar, Network: network(text)}); got.Refuses != want || !got.Active {
			t.Errorf("%+v", got)
		}
	}
	spared := []netip.Prefix{network("192.0.2.0/24"), network("::1/128")}
	if diff := cmp.Diff(spared, lines[netip.Prefix](t, socket, Request{Request: Spares}), prefixes); diff != "" {
		t.Error(diff)
	}
}

func TestADaemonWithoutAMemorySaysSo(t *testing.T) {
	socket, _ := started(t, &Server{Status: func() Status { return Status{} }})
	err := Ask(socket, Request{Request: Bar, Network: network("192.0.2.7/32")}, new(Ban))
	if refusal := new(Refusal); !errors.As(err, &refusal) || refusal.Kind != Failed {
		t.Errorf("%v", err)
	}
	if st := do[Status](t, socket, Request{Request: Stands}); len(st.Faults) != 1 || st.Memory != nil {
		t.Errorf("%+v", st)
	}
}

func TestEveryFaultHasWhatToDo(t *testing.T) {
	st := Status{
		DNS: DNSFailed, Door: acl.Stats{Bypass: "/run/x/bypass", Failed: 2}, Memory: &ledger.State{Fault: "no space left", Fix: "make room"},
		Metrics: "127.0.0.1:9925: address already in use", Unsaved: "no space left",
		Lists: []rbl.ZoneHealth{{Zone: "ok.example", State: rbl.OK}, {Zone: "gone.example", State: rbl.Inert, Why: "emptied", Fix: "take it out"}},
	}
	var got []string
	for _, f := range st.faults() {
		if f.What == "" || f.Why == "" || f.Fix == "" {
			t.Errorf("%+v", f)
		}
		got = append(got, f.What)
	}
	if len(got) != 6 || !strings.Contains(got[4], "metrics") || !strings.Contains(got[5], "gone.example") {
		t.Errorf("%q", got)
	}
	down := Status{
		Memory: &ledger.State{}, DNS: DNSDown, Outage: rbl.Notice{Text: "192.0.2.1 answers nobody", Fix: "start it"},
		Lists: []rbl.ZoneHealth{{Zone: "untested.example", Why: "it could not be tested", Fix: "start it"}, {Zone: "gone.example", State: rbl.Inert, Why: "emptied", Fix: "take it out"}},
	}
	if f := down.faults(); len(f) != 2 || f[0] != (Fault{"no list and no rule on DNS counts", "192.0.2.1 answers nobody", "start it"}) || !strings.Contains(f[1].What, "gone.example") {
		t.Errorf("%+v", f)
	}
	full := Status{Memory: &ledger.State{Dir: "/var/lib/x"}, Unsaved: "decisions is no ordinary file"}
	if f := full.faults(); len(f) != 1 || !strings.Contains(f[0].What, "decisions") || f[0].Why != full.Unsaved || f[0].Fix == "" {
		t.Errorf("%+v", f)
	}
	if none := (&Status{Memory: &ledger.State{}}).faults(); none == nil || len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

// slow is a memory whose export waits.
type slow struct {
	Memory
	asked, release chan struct{}
}

func (s *slow) Export(w io.Writer) error {
	close(s.asked)
	<-s.release
	return s.Memory.Export(w)
}

func TestOnlyOneExportOrImportIsUnderWay(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &slow{memory, make(chan struct{}), make(chan struct{})}
	socket, _ := started(t, &Server{Memory: s})
	done := make(chan error)
	go func() {
		_, err := Save(socket, io.Discard)
		done <- err
	}()
	<-s.asked
	big := bytes.Repeat([]byte("x"), 8<<20) // more than the buffers of a socket hold
	_, err = Send(socket, bytes.NewReader(big), int64(len(big)))
	if refusal := new(Refusal); !errors.As(err, &refusal) || refusal.Kind != Busy {
		t.Errorf("%v", err)
	}
	close(s.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// flood is a memory whose export never ends.
type flood struct {
	Memory
	failed chan error
}

func (f *flood) Export(w io.Writer) error {
	for {
		if _, err := io.WriteString(w, "{\"x\":\""+strings.Repeat("y", 1000)+"\"}\n"); err != nil {
			f.failed <- err
			return err
		}
	}
}

func TestWhoDoesNotReadLosesHisSeat(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &flood{memory, make(chan error, 1)}
	socket, _ := started(t, &Server{Memory: f})
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "{\"request\":\"export\"}\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-f.failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestAConnectionHasASecondMoreForEachPartOfWhatCameAndWent(t *testing.T) {
	p := &paced{}
	if got := p.end(noon).Sub(noon); got != deadline {
		t.Errorf("at first it has %s", got)
	}
	p.moved = ledger.MaxImport
	if got := p.end(noon).Sub(noon); got < deadline+511*time.Second || got > deadline+512*time.Second {
		t.Errorf("after the longest import it has had %s", got)
	}
	p.waited = 500 * time.Second
	if got := p.end(noon).Sub(noon); got < deadline+11*time.Second || got > deadline+12*time.Second {
		t.Errorf("waited for so long it has had %s", got)
	}
	p.last = noon.Add(deadline)
	if got := p.end(noon).Sub(noon); got != deadline {
		t.Errorf("when the daemon ends it has %s", got)
	}
}

func TestTheEndOfTheDaemonDoesNotWaitForASlowReader(t *testing.T) {
	fast, _ := ledger.Open(ledger.Options{})
	f := &flood{fast, make(chan error, 1)}
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Memory: f, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, l) }()
	c, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "{\"request\":\"export\"}\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, 64<<20); err != nil { // it has earned four minutes
		t.Fatal(err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-f.failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestACutStreamIsNotTakenForTheWhole(t *testing.T) {
	for name, text := range map[string]string{
		"no answer at the end":        "{\"line\":{}}\n",
		"half a line":                 "{\"line\":{}}\n{\"li",
		"nothing":                     "",
		"fewer lines than there were": "{\"line\":{}}\n{\"reply\":{\"lines\":2}}\n",
		"something else":              "HTTP/1.1 400 Bad Request\n",
		"an object of another kind":   "{}\n",
	} {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, text)
			c.(*net.UnixConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}()
		if err := Each(socket, Request{Request: Bans}, func(json.RawMessage) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
		l.Close()
	}
}
