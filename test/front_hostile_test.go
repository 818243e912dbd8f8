package test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"eximpolicyd/test/rig"
)

// peakRSS is the most memory that a process has had, in MB.
func peakRSS(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s", text)
	}
	kB, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kB >> 10
}

// inMessage opens a session that may send a message.
func inMessage(t *testing.T, f *rig.Front) *rig.Session {
	t.Helper()
	c, r, err := rig.DialAt(f.Addr(), "")
	if err != nil || r.Code != 220 {
		t.Fatal(r, err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the front may have closed it
	say(t, c, "EHLO client.example", 250)
	say(t, c, "MAIL FROM:<x@a.example>", 250)
	say(t, c, "RCPT TO:<alice@"+rig.Domain+">", 250)
	return c
}

// pour sends until the front closes, or so many MB, and returns how many octets it took.
func pour(c *rig.Session, begin, more string, mb int) (sent int) {
	c.Raw(begin)
	chunk := []byte(strings.Repeat(more, (1<<20)/len(more)))
	for range mb {
		n, err := c.Write(chunk)
		sent += n
		if err != nil {
			return sent
		}
	}
	return sent
}

func TestAFrontIsBoundedAgainstHostileClients(t *testing.T) {
	f, err := rig.ServeFront(binary(t), t.TempDir(), "", "--domain", rig.Domain, "--proxy-wait", "0", "--client", "203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})

	// 10,000 connects by 500 at once, none of which says QUIT; half say nothing at all.
	var served, turnedAway atomic.Int64
	var workers sync.WaitGroup
	for w := range 500 {
		workers.Go(func() {
			for i := range 20 {
				conn, err := net.Dial("tcp4", f.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				var code [3]byte
				if _, err := io.ReadFull(conn, code[:]); err == nil && string(code[:]) == "220" {
					served.Add(1)
				} else {
					turnedAway.Add(1)
				}
				if (w+i)%2 == 0 {
					_, _ = io.WriteString(conn, "EHLO client.example\r\nMAIL FROM:<") // cut off or not
				}
				conn.Close()
			}
		})
	}
	workers.Wait()
	t.Logf("FIGURE 10,000 connects, 500 at once: %d served, %d told 421", served.Load(), turnedAway.Load())

	// Whoever is left over ends when its seat is found empty.
	var c *rig.Session
	if err := rig.Await("a seat", func() bool {
		s, r, err := rig.DialAt(f.Addr(), "")
		if err != nil {
			t.Error(err)
			return true
		}
		if c = s; r.Code != 220 {
			return s.Close() != nil
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	big := inMessage(t, f)
	say(t, big, "DATA", 354)
	took := pour(big, "Subject: x\r\n\r\n", "0123456789abcdef", 1024)
	t.Logf("FIGURE 1 GB of DATA: cut off after %d MB, answered %q", took>>20, big.Reply().Text)
	if took >= 1<<30 {
		t.Error("1 GB was taken")
	}
	line := inMessage(t, f)
	say(t, line, "DATA", 354)
	t.Logf("FIGURE a header that never ends: cut off after %d MB, answered %q", pour(line, "Message-ID: ", "a", 1024)>>20, line.Reply().Text)
	chunk := inMessage(t, f)
	chunk.Raw("BDAT 4000000000 LAST\r\n")
	if r := chunk.Reply(); r.Code != 552 {
		t.Errorf("%+v", r)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		garbage := make([]byte, 8<<10)
		for i := range garbage {
			garbage[i] = "\r\n. \x00EHLOMAILRCPTDATABDATQUIT<>:0123456789abc\xff"[random.IntN(44)]
		}
		conn, err := net.Dial("tcp4", f.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(garbage) // it may close at any octet
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 100))
		conn.Close()
	}

	good := inMessage(t, f)
	if r := good.Say("DATA"); r.Code != 354 {
		t.Fatal(r)
	}
	if r := good.Say("Subject: x\r\n\r\ntext\r\n."); r.Code != 250 || !strings.Contains(r.Text, "nothing is delivered") {
		t.Error(r)
	}
	if strings.Contains(f.Log(), "panic") {
		t.Error(tail(f.Log()))
	}
	rss := peakRSS(t, f.PID())
	t.Logf("FIGURE the most memory of a front under all this: %d MB (must: under 200)", rss)
	if rss >= 200 {
		t.Errorf("%d MB", rss)
	}
}
