package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/internal/control"
	"eximpolicyd/internal/ledger"
)

// kept are decisions that can be explained.
type kept struct {
	control.Decisions
	list  []acl.Explanation
	asked []int
}

func (k *kept) Last(most int) (lines []json.RawMessage) {
	k.asked = append(k.asked, most)
	for i := range k.list {
		line, err := json.Marshal(&k.list[i])
		if err != nil {
			return nil
		}
		lines = append(lines, line)
	}
	return lines
}

// started starts an administrator's socket that is closed at the end of the test.
func started(t *testing.T, s *control.Server) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "top")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s.Log = slog.New(slog.DiscardHandler)
	s.Status = func() control.Status { return control.Status{Version: "0.1.0", Mode: "observe", DNS: control.DNSOff} }
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return socket
}

func TestAPollBringsTheStatusTheLastDecisionsAndTheNewestBans(t *testing.T) {
	memory, err := ledger.Open(ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	decisions := &kept{list: []acl.Explanation{
		{ID: "1xWDej0001", Stage: "RCPT", Action: "dunno", Inputs: map[string]string{"helo_name": "mail.example.net"}},
		{ID: "1xWDej0002", Stage: "RCPT", Action: "deny", Rule: "helo.H3", Client: netip.MustParseAddr("203.0.113.7")},
	}}
	socket := started(t, &control.Server{Memory: memory, Decisions: decisions, Refuses: func(*ledger.Ban) bool { return true }})
	var p Poller
	clock := noon
	p.Now = func() time.Time { clock = clock.Add(time.Millisecond); return clock }
	ban := func(network string) {
		t.Helper()
		q := control.Request{Request: control.Bar, Network: netip.MustParsePrefix(network), Because: "a test"}
		if err := control.Ask(socket, q, new(control.Ban)); err != nil {
			t.Fatal(err)
		}
	}
	ban("192.0.2.0/24")
	s, err := p.Poll(socket)
	if err != nil {
		t.Fatal(err)
	}
	if s.Status.Version != "0.1.0" || s.At.IsZero() || len(s.Status.Faults) != 0 {
		t.Errorf("%+v", s.Status)
	}
	if d := s.Decisions; len(d) != 2 || d[0].ID != "1xWDej0002" || !d[0].refuses() || d[1].Inputs.HELO != "mail.example.net" {
		t.Errorf("%+v", d)
	}
	if len(s.Bans) != 1 || shown(s.Bans[0].Network) != "192.0.2.0/24" {
		t.Errorf("%+v", s.Bans)
	}
	ban("198.51.100.0/24")
	if s, err = p.Poll(socket); err != nil || len(s.Bans) != 1 {
		t.Errorf("%v: all bans are asked for without a rest: %d", err, len(s.Bans))
	}
	clock = clock.Add(time.Second)
	if s, err = p.Poll(socket); err != nil || len(s.Bans) != 2 {
		t.Errorf("%v: %d bans", err, len(s.Bans))
	}
	if got := fmt.Sprint(decisions.asked); got != fmt.Sprint([]int{earlier, latest, latest}) {
		t.Error(got)
	}
}

func TestADaemonWithoutAMemoryOrDecisionsIsShownAllTheSame(t *testing.T) {
	socket := started(t, &control.Server{})
	s, err := new(Poller).Poll(socket)
	if err != nil || len(s.Bans)+len(s.Decisions) != 0 || len(s.Status.Faults) != 1 {
		t.Errorf("%v: %+v", err, s)
	}
}

func TestWhatIsShownOfADecisionIsInTheWordsOfExplain(t *testing.T) {
	line, err := json.Marshal(acl.Explanation{
		ID: "1xWDej0001", Time: noon, Stage: "RCPT", Client: netip.MustParseAddr("203.0.113.7"), Action: "dunno", Rule: "helo.H3", Would: "deny",
		Reason: "ours", Mark: true, Synthetic: true, Degraded: true, Inputs: map[string]string{"helo_name": "mx.example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	if err := json.Unmarshal(line, &d); err != nil {
		t.Fatal(err)
	}
	if v := reflect.ValueOf(d); v.NumField() == 0 {
		t.Fatal("nothing is shown")
	} else {
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is no word of explain", v.Type().Field(i).Name)
			}
		}
	}
	said, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var shown, all map[string]any
	if err := errors.Join(json.Unmarshal(said, &shown), json.Unmarshal(line, &all)); err != nil {
		t.Fatal(err)
	}
	for word, value := range shown {
		if !reflect.DeepEqual(value, all[word]) {
			t.Errorf("%s is %v, and explain says %v", word, value, all[word])
		}
	}
}

func TestNoDaemonIsAnErrorOfTheSystem(t *testing.T) {
	if _, err := new(Poller).Poll("/nonexistent/control.sock"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestOnlyTheNewestBansAreKept(t *testing.T) {
	var newest []control.Ban
	const n = 1000
	for i := range n {
		at := i * 7 % n // in no order
		newest = keep(newest, control.Ban{Ban: ledger.Ban{Rule: strconv.Itoa(at), Made: noon.Add(time.Duration(at) * time.Second)}})
	}
	if len(newest) != mostBans || cap(newest) > 4*mostBans {
		t.Fatalf("%d of %d", len(newest), cap(newest))
	}
	for i, b := range newest {
		if b.Rule != strconv.Itoa(n-1-i) {
			t.Fatalf("%d is %s", i, b.Rule)
		}
	}
}
