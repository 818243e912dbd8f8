package test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"eximpolicyd/test/rig"
)

// Whether the daemon is missing, or dies at random and comes back, a thousand messages are a thousand messages.
func TestAThousandMessagesPassWithoutADaemon(t *testing.T) {
	const sessions, each = 50, 20
	s := started(t, rig.Config{Flavour: "stock", Queue: true})
	began := time.Now()
	sendAll(t, s, sessions, each)
	missing := time.Since(began)

	f := fake(t, s, func(raw []byte) rig.Act { // dies on every third request
		if len(raw)%3 == 0 {
			return rig.Act{Reply: "action=de"}
		}
		return rig.Dunno()
	})
	began = time.Now()
	sendAll(t, s, sessions, each)
	there := time.Since(began)

	log := s.Mainlog()
	if n := strings.Count(log, " <= x@client.example "); n != 2*sessions*each {
		t.Errorf("%d of %d messages are in the log", n, 2*sessions*each)
	}
	if strings.Contains(log, "request=exim_acl") || s.Paniclog() != "" {
		t.Errorf("a request in mainlog, or a panic:\n%s", tail(s.Paniclog()))
	}
	if f.Accepts() == 0 {
		t.Error("the daemon was never asked")
	}
	t.Logf("FIGURE daemon missing: %d of %d messages accepted, %.1f ms each; daemon that dies on every third request: %d, %.1f ms each",
		sessions*each, sessions*each, perMessage(missing, sessions*each), sessions*each, perMessage(there, sessions*each))
}

func perMessage(d time.Duration, n int) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }

// sendAll sends messages in many sessions, eight at once, and wants every one taken.
func sendAll(t *testing.T, s *rig.Site, sessions, each int) {
	t.Helper()
	free := make(chan struct{}, 8)
	var wait sync.WaitGroup
	for i := range sessions {
		free <- struct{}{}
		wait.Go(func() {
			defer func() { <-free }()
			c, r, err := s.Dial("203.0.113.7")
			if err != nil || r.Code != 220 {
				t.Errorf("session %d: %v %q", i, err, r.Text)
				return
			}
			defer c.Close()
			c.Say("EHLO client.example")
			for j := range each {
				if r := c.Message("x@client.example", []string{"alice@" + rig.Domain}, mail(fmt.Sprint(i, "-", j))); r.Code != 250 {
					t.Errorf("session %d, message %d: %q", i, j, r.Text)
					return
				}
			}
			c.Say("QUIT")
		})
	}
	wait.Wait()
}
