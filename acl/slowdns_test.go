package acl

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"eximpolicyd/rbl"
)

// slowDNS is a DNS and a set of lists in which every answer takes its time, as package rbl promises: who leaves does not
// end a question, and its answer is there for the next one. What is not in it is missing.
type slowDNS struct {
	mu      sync.Mutex
	takes   time.Duration // an answer; a reverse lookup takes two
	records map[question]rbl.Records
	names   []string // confirmed ones of every client
	never   string   // the kind of question that is never answered
	begun   map[string]time.Time
	asked   []string // each question once, in the order begun
}

// wait begins a question, or goes on with it, and reports whether its answer came before ctx ended.
func (w *slowDNS) wait(ctx context.Context, what string, takes time.Duration) bool {
	w.mu.Lock()
	begun, ok := w.begun[what]
	if !ok {
		begun = time.Now()
		if w.begun == nil {
			w.begun = map[string]time.Time{}
		}
		w.begun[what] = begun
		w.asked = append(w.asked, what)
	}
	w.mu.Unlock()
	left := takes - time.Since(begun)
	if kind, _, _ := strings.Cut(what, " "); kind == w.never {
		left = 24 * time.Hour
	}
	if left <= 0 {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *slowDNS) Lookup(ctx context.Context, name string, kind uint16) rbl.Records {
	if !w.wait(ctx, dns.TypeToString[kind]+" "+name, w.takes) {
		return rbl.Records{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := w.records[question{name, kind}]; ok {
		return r
	}
	return rbl.Records{Outcome: rbl.Missing}
}

func (w *slowDNS) Confirm(ctx context.Context, a netip.Addr) rbl.PTR {
	if !w.wait(ctx, "PTR "+a.String(), 2*w.takes) {
		return rbl.PTR{Late: true}
	}
	if len(w.names) == 0 {
		return rbl.PTR{Status: rbl.PTRMissing}
	}
	return rbl.PTR{Status: rbl.PTRConfirmed, Names: w.names}
}

func (w *slowDNS) Check(ctx context.Context, client netip.Addr) rbl.Report {
	return w.report(ctx, "list", client.String())
}

func (w *slowDNS) CheckName(ctx context.Context, name string) rbl.Report {
	return w.report(ctx, "names", name)
}

func (w *slowDNS) report(ctx context.Context, what, subject string) rbl.Report {
	r := rbl.Report{Subject: subject, Answers: []rbl.Answer{{Zone: testZone(), Status: rbl.Unknown}}}
	if r.Late = !w.wait(ctx, what+" "+subject, w.takes); !r.Late {
		r.Answers[0].Status, r.Answers[0].Codes = rbl.Listed, []rbl.Code{{0, 0, 2}}
	}
	return r
}

func (w *slowDNS) Text(ctx context.Context, subject string, _ *rbl.Answer) string {
	if !w.wait(ctx, "text "+subject, w.takes) {
		return ""
	}
	return "see https://list.example/" + subject
}

// allNames asks lists of names about every name.
var allNames = Names{HELO: true, Sender: true, PTR: true}

func testZone() *rbl.Zone {
	var e rbl.Entry
	if err := e.UnmarshalText([]byte("list.example=127.0.0.2*5")); err != nil {
		return nil
	}
	zones, err := rbl.Zones(rbl.OfAddresses, []rbl.Entry{e})
	if err != nil {
		return nil
	}
	return zones[0]
}

// say changes what is answered.
func (w *slowDNS) say(records map[question]rbl.Records) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = records
}

// questions returns what was asked, each question once, sorted.
func (w *slowDNS) questions() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.asked))
}

func found(list ...string) rbl.Records {
	r := rbl.Records{Outcome: rbl.Found}
	for _, a := range list {
		r.Addresses = append(r.Addresses, netip.MustParseAddr(a))
	}
	return r
}
