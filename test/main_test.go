// Package test drives the whole program: real Exim, real sockets, text scripts.
package test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"eximpolicyd/test/rig"
)

func TestMain(m *testing.M) {
	if err := rig.Check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Most of a test's time is Exim's time-outs, so more run at once than there are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// site makes a site for a test; it does not listen yet.
func site(t *testing.T, cfg rig.Config) *rig.Site {
	t.Helper()
	s, err := rig.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("mainlog:\n%s\npaniclog:\n%s", tail(s.Mainlog()), tail(s.Paniclog()))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tail is the end of a log, enough to see why a test failed.
func tail(log string) string {
	const most = 6000
	if len(log) > most {
		return "..." + log[len(log)-most:]
	}
	return log
}

// started makes a site that listens.
func started(t *testing.T, cfg rig.Config) *rig.Site {
	t.Helper()
	s := site(t, cfg)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// fake makes a policy daemon for a site.
func fake(t *testing.T, s *rig.Site, script rig.Script) *rig.Fake {
	t.Helper()
	f, err := rig.NewFake(s.SocketPath(), script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// dial opens a session as if from client ("" is 127.0.0.1) and wants a greeting.
func dial(t *testing.T, s *rig.Site, client string) *rig.Session {
	t.Helper()
	c, r, err := s.Dial(client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may have closed it first
	if r.Code != 220 {
		t.Fatalf("greeting: %q", r.Text)
	}
	return c
}

// say sends a line and wants a code.
func say(t *testing.T, c *rig.Session, line string, code int) rig.Reply {
	t.Helper()
	r := c.Say(line)
	if r.Code != code {
		t.Fatalf("%.80s: want %d, got %d %q", line, code, r.Code, r.Text)
	}
	return r
}

// mail is a short message that no rule dislikes.
func mail(subject string) string {
	return "From: <x@client.example>\nTo: <alice@" + rig.Domain + ">\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n" +
		"Message-ID: <" + subject + "@client.example>\nSubject: " + subject + "\n\ntext\n"
}
