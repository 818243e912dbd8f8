package front

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eximpolicyd/acl"
	"eximpolicyd/policy"
)

// slow is a client of a front whose clock is the test's.
type slow struct {
	*client
	begun time.Time
	why   string // how the front says that it ended, when done is closed
	done  chan struct{}
}

func dialSlowly(t *testing.T) *slow { return dialFrom(t, nil) }

// from is a connection from elsewhere.
type from struct {
	net.Conn
	addr net.Addr
}

// RemoteAddr is where it says that it comes from.
func (f from) RemoteAddr() net.Addr { return f.addr }

// dialFrom connects from an address; from nil, which is none, the front has no client.
func dialFrom(t *testing.T, addr net.Addr) *slow {
	pipe, theirs := net.Pipe()
	ours := from{pipe, addr}
	s := &slow{client: &client{t: t, conn: theirs, in: bufio.NewReader(theirs)}, begun: time.Now(), done: make(chan struct{})}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	decider := &acl.Decider{Own: &policy.Own{}, Exempt: &policy.Exempt{}}
	srv := &Server{
		Talks: acl.NewTalks(&acl.Settings{Decider: decider, Log: quiet}, nil), Log: quiet, Name: "mx.example.com",
		Domains: map[string]bool{"example.com": true}, ProxyWait: time.Minute,
		Explain: func(d Decision) { s.why, s.client.from = d.Request.NotQuitReason, d.Request.Client },
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(s.done)
		defer ours.Close()
		newVisit(ctx, srv, ours, 1).run()
	}()
	t.Cleanup(func() { stop(); theirs.Close(); <-s.done })
	return s
}

// ends wants the connection to end so long after its beginning, for a reason.
func (s *slow) ends(after time.Duration, why string) {
	s.t.Helper()
	_, _ = io.Copy(io.Discard, s.in)
	<-s.done
	if got := time.Since(s.begun); got != after || s.why != why {
		s.t.Errorf("ended after %v by %s, want %v by %s", got, s.why, after, why)
	}
}

func TestASilentClientIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlowly(t)
		s.say("", "220", "", "421 4.4.2")
		s.ends(commandTime, "command-timeout")
	})
}

func TestAClientThatKeepsTalkingIsSentAwayInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlowly(t)
		s.say("", "220")
		for range int(sessionTime / (4 * time.Minute)) {
			time.Sleep(4 * time.Minute)
			s.say("NOOP", "250")
		}
		s.say("", "421 4.4.2")
		s.ends(sessionTime, "command-timeout")
	})
}

func TestAMessageThatDripsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlowly(t)
		s.toData("client.example")
		closed := make(chan struct{})
		go func() { // ends when the front closes
			defer close(closed)
			for {
				time.Sleep(50 * time.Second) // never at the very end
				if _, err := io.WriteString(s.conn, "a: "+strings.Repeat("b", 10)+"\r\n"); err != nil {
					return
				}
			}
		}()
		s.ends(commandTime, "data-timeout")
		<-closed
	})
}

func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlowly(t)
		<-s.done
		if got := time.Since(s.begun); got > sessionTime {
			t.Errorf("it stayed for %v", got)
		}
	})
}
