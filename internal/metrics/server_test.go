package metrics

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes, so that their time is that of a synctest bubble.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{waiting: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial is a connection, when the server takes one more.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.waiting <- theirs
	return ours
}

// get asks over a connection, and reads the answer.
func get(t *testing.T, c net.Conn, path string) (int, string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestAScraperThatHangsHoldsUpOthersForAsLongAsHeMay(t *testing.T) {
	m := made(t, full)
	for _, c := range []struct {
		name string
		says string
		most time.Duration
	}{
		{"one that says nothing", "", requestTime},
		{"one that says half of it", "GET /metrics HTTP/1.1\r\n", requestTime},
		{"one that does not read what he asked for", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", responseTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Metrics: m, Log: silent}
				l := newPipes()
				s.Use(l)
				defer s.Close()
				began := time.Now()
				for range maxScrapers { // as many as there may be
					hangs := l.dial()
					defer hangs.Close()
					go io.WriteString(hangs, c.says)
				}
				next := l.dial()
				defer next.Close()
				if code, body := get(t, next, "/metrics"); code != 200 || !strings.Contains(body, "eximpolicyd_faults 3\n") {
					t.Errorf("%d %s", code, body)
				}
				if took := time.Since(began); took != c.most {
					t.Errorf("the next one had to wait for %v", took)
				}
			})
		})
	}
}

func TestCloseCutsScrapersOff(t *testing.T) {
	m := made(t, full)
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Metrics: m, Log: silent}
		l := newPipes()
		s.Use(l)
		var open []net.Conn
		for range 3 {
			c := l.dial()
			defer c.Close()
			go io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
			open = append(open, c)
		}
		synctest.Wait()
		began := time.Now()
		s.Close()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		for _, c := range open {
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Error(err)
			}
		}
	})
}

// at returns a client of a Unix socket.
func at(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
}

func listenAt(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOnlyGETAndHEADOfTwoPagesAreAnswered(t *testing.T) {
	s := &Server{Metrics: made(t, full), Log: silent}
	path := filepath.Join(t.TempDir(), "m")
	s.Use(listenAt(t, path))
	defer s.Close()
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"POST", "/metrics", 405, "Method Not Allowed\n"},
		{"PUT", "/metrics", 405, "Method Not Allowed\n"},
		{"DELETE", "/", 405, "Method Not Allowed\n"},
		{"GET", "/debug/pprof/", 404, "404 page not found\n"},
		{"GET", "/debug/vars", 404, "404 page not found\n"},
		{"GET", "/metrics/x", 404, "404 page not found\n"},
		{"GET", "/", 200, "eximpolicyd: the metrics are at /metrics\n"},
		{"HEAD", "/metrics", 200, ""},
	} {
		q, err := http.NewRequest(c.method, "http://x"+c.path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		r, err := at(path).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != c.code || string(body) != c.body {
			t.Errorf("%s %s: %d %q %v", c.method, c.path, r.StatusCode, body, err)
		}
	}
	q, err := http.NewRequest("GET", "http://x/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Cookie", strings.Repeat("x", 64<<10))
	r, err := at(path).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 kB of header: %d", r.StatusCode)
	}
}

func TestAnotherPlaceTakesOverAndTheOldOneIsGone(t *testing.T) {
	s := &Server{Metrics: made(t, full), Log: silent}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	answers := func(path string) bool {
		r, err := at(path).Get("http://x/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == 200
	}
	s.Use(listenAt(t, one))
	if !answers(one) {
		t.Error("the first is not served")
	}
	s.Use(listenAt(t, two))
	if answers(one) || !answers(two) {
		t.Errorf("one %v, two %v", answers(one), answers(two))
	}
	s.Use(nil)
	if answers(two) {
		t.Error("it is served nowhere, and answers")
	}
	s.Use(listenAt(t, one))
	if !answers(one) {
		t.Error("the first is not served again")
	}
	s.Close()
}

func TestAScrapeThatFailsIsToldToTheScraperAndOnceToTheLog(t *testing.T) {
	var log bytes.Buffer
	s := &Server{Metrics: made(t, func() Reading { panic("a mistake") }), Log: func() *slog.Logger { return slog.New(slog.NewTextHandler(&log, nil)) }}
	path := filepath.Join(t.TempDir(), "m")
	s.Use(listenAt(t, path))
	for range 3 {
		r, err := at(path).Get("http://x/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 500 || !strings.Contains(string(body), "please report it: a mistake") {
			t.Errorf("%d %s %v", r.StatusCode, body, err)
		}
	}
	s.Close()
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%s", log.String())
	}
}
