package metrics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Bounds of who scrapes. He who hangs holds up others who scrape, as long as he may, and nobody else.
const (
	maxScrapers  = 16               // connections, each of which holds about 200 kB while it scrapes; more wait in the kernel's queue
	requestTime  = 5 * time.Second  // for a request to come
	responseTime = 10 * time.Second // until what it got is read; Prometheus itself waits for 10 s by default
	idleTime     = 2 * time.Minute  // of a connection between two scrapes; Prometheus keeps it, and comes once a minute by default
	maxHeader    = 8 << 10          // octets
)

// Server serves metrics at one place at a time. Fill its fields before Use, and Close it.
type Server struct {
	Metrics *Metrics
	Log     func() *slog.Logger

	mu     sync.Mutex
	now    *site
	failed atomic.Bool // a scrape has failed, which was told
}

// site is one place.
type site struct {
	http  *http.Server
	done  chan struct{} // closed when nobody is accepted any more
	conns sync.WaitGroup
}

// Use serves on a listener from now on, and no more on the one before, whose scrapes are cut. nil serves nowhere.
func (s *Server) Use(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now
	s.now = nil
	if l != nil {
		s.now = s.open(l)
	}
	before.close()
}

// Close ends serving, and returns when nobody is served any more.
func (s *Server) Close() { s.Use(nil) }

func (s *Server) open(l net.Listener) *site {
	at := &site{done: make(chan struct{})}
	at.http = &http.Server{
		Handler: s.handler(), ConnState: at.count, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: responseTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.Log().Handler(), slog.LevelDebug),
	}
	go func() { // close waits for it, and ends it
		defer close(at.done)
		if err := at.http.Serve(netutil.LimitListener(l, maxScrapers)); !errors.Is(err, http.ErrServerClosed) {
			s.Log().Error("the metrics are served no more", "error", err)
		}
	}()
	return at
}

// close cuts everybody off. A nil site is none.
func (at *site) close() {
	if at == nil {
		return
	}
	at.http.Close() // the error is that of a listener which is gone already
	<-at.done
	at.conns.Wait() // at most half a second: net/http gives one that it has turned away that long to read why
}

// count lets close wait for every connection. A new one is counted before Serve ends.
func (at *site) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		at.conns.Add(1)
	case http.StateClosed:
		at.conns.Done()
	}
}

// handler answers GET and HEAD of two pages.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.registry, promhttp.HandlerOpts{
		ErrorLog:           s,
		DisableCompression: true, // it goes no further than this machine
	}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "eximpolicyd: the metrics are at /metrics\n") // who has gone does not read it
	})
	return mux
}

// Println is told by promhttp what went wrong: that a scraper has gone, or a mistake of ours, which is told of once. Each scraper
// knows of his.
func (s *Server) Println(v ...any) {
	say := s.Log().Debug
	if v[0] == gathering && !s.failed.Swap(true) {
		say = s.Log().Error
	}
	say("a scrape of the metrics failed; see the text that the scraper got", "error", fmt.Sprint(v[1:]...))
}

// gathering is how promhttp begins what is not the scraper's doing.
const gathering = "error gathering metrics:"
