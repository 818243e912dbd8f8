package ledger

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// killedChild opens a folder and bans as fast as it can from 8 goroutines, saying of each what it is about to do and what
// came of it, until it is killed. Its first word is that it is open.
func killedChild() error {
	e, err := Open(Options{Dir: os.Args[1]})
	if err != nil {
		return err
	}
	if s := e.State(); s.Fault != "" || len(s.Aside) > 0 {
		return fmt.Errorf("opened with the state %+v", s)
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format, args...) // one write
	}
	say("open %d\n", len(e.Bans()))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				n := rand.Uint32()
				a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
				p := netip.PrefixFrom(a, 32)
				ctx, stop := context.WithTimeout(context.Background(), time.Minute)
				if n%8 == 0 {
					say("ask %s\n", p)
					b, err := e.Ban(ctx, Ban{Network: p})
					say("ban %s %t %v\n", p, b.Durable, err)
				} else {
					say("ask %s\n", p)
					b, made, err := e.Offend(ctx, Offence{Network: p, Enforced: n%2 == 1, Rule: "dictionary.window"})
					say("ban %s %t %v\n", p, b.Durable && made, err)
				}
				stop()
			}
		})
	}
	all.Wait()
	return nil
}

// life is what one process said before it was killed.
type life struct {
	asked, durable map[string]bool
	failed         []string
}

// live starts a process on a folder, kills it some time after it is open, and returns what it said. A line that is cut
// off was not said.
func live(t *testing.T, dir string, killAfter time.Duration) (l life) {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childOf+"=killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.asked, l.durable = map[string]bool{}, map[string]bool{}
	opened := false
	in := bufio.NewReader(out)
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			break
		}
		f := strings.Fields(text)
		switch {
		case f[0] == "open":
			opened = true
			kill := time.AfterFunc(killAfter, func() { cmd.Process.Kill() })
			defer kill.Stop()
		case f[0] == "ask":
			l.asked[f[1]] = true
		case f[3] != "<nil>":
			l.failed = append(l.failed, text)
		case f[2] == "true":
			l.durable[f[1]] = true
		}
	}
	cmd.Wait() // it was killed
	if !opened {
		l.failed = append(l.failed, "it did not open: "+errs.String())
	}
	return l
}

func TestWhatWasAnnouncedAsDurableOutlivesTwoHundredKills(t *testing.T) {
	t.Parallel()
	const folders, lives = 8, 25
	var mu sync.Mutex
	var starts, announced, lost, invented int
	var slowest time.Duration
	var all sync.WaitGroup
	for i := range folders {
		dir := t.TempDir()
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			asked, durable := map[string]bool{}, map[string]bool{}
			for range lives {
				l := live(t, dir, time.Duration(random.IntN(40_000))*time.Microsecond)
				for n := range l.asked {
					asked[n] = true
				}
				for n := range l.durable {
					durable[n] = true
				}
				began := time.Now()
				e, err := Open(Options{Dir: dir})
				took := time.Since(began)
				if err != nil {
					t.Error(err)
					return
				}
				if s := e.State(); s.Fault != "" || len(s.Aside) > 0 || len(l.failed) > 0 {
					t.Errorf("%+v; the killed one: %q", s, l.failed)
				}
				there := map[string]bool{}
				for _, b := range e.Bans() {
					there[b.Network.String()] = true
				}
				mu.Lock()
				starts++
				slowest = max(slowest, took)
				for n := range durable {
					if !there[n] {
						lost++
						t.Errorf("%s was announced as durable and is lost", n)
					}
				}
				for n := range there {
					if !asked[n] {
						invented++
						t.Errorf("%s is banned, and nobody asked for it", n)
					}
				}
				announced += len(l.durable)
				mu.Unlock()
				e.Close()
			}
		})
	}
	all.Wait()
	t.Logf("FIGURE kill -9: %d starts, the slowest in %s, %d bans announced as durable, %d lost, %d invented",
		starts, slowest.Round(time.Millisecond), announced, lost, invented)
	if starts != folders*lives || announced < starts {
		t.Errorf("%d starts, %d announced: too little was tried", starts, announced)
	}
}
