package mainlog

import (
	"io"
	"strings"
	"time"
)

// Options say how to understand time. The zero value takes the clock of this machine.
type Options struct {
	Location *time.Location // of stamps without a zone; nil is time.Local
	Now      time.Time      // no stamp is later, which gives syslog's stamps their year; zero is time.Now
}

// Reader reads logs as one stream of events in the order of time. It is for one goroutine; behind it some read and parse ahead,
// until the end or Close.
//
// Bound: about 1 MB for each log (a main log, a reject log), whatever its length; rotated parts are read one after the other.
type Reader struct {
	streams []*stream
	started bool
	counts  Counts
	faults  []*Fault
}

// NewReader returns a reader of inputs in any order. It looks at the start of rotated parts to find their order, and starts
// to read at the first Next.
func NewReader(inputs []Input, o Options) *Reader {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	r := &Reader{}
	for _, s := range sets(inputs, &o) {
		r.streams = append(r.streams, newStream(s, &o))
	}
	return r
}

// Next returns the next event, or io.EOF. The event is valid until the call after; its strings for ever. What goes wrong with an
// input ends that input only: see Faults.
func (r *Reader) Next() (*Event, error) {
	if !r.started {
		r.started = true
		for _, s := range r.streams {
			s.start()
		}
	}
	for {
		s, e := r.earliest()
		if e == nil {
			return nil, io.EOF
		}
		s.at++
		if e.used {
			r.again(e)
			continue
		}
		r.withCopy(s, e)
		return e, nil
	}
}

// earliest returns the stream with the earliest event. At the same time the main log comes first.
func (r *Reader) earliest() (from *stream, first *Event) {
	for _, s := range r.streams {
		s.drop(r.done)
		e := s.ahead(0)
		if e != nil && (first == nil || e.Time.Before(first.Time)) {
			from, first = s, e
		}
	}
	if first == nil {
		for _, s := range r.streams { // chunks without any event at the end
			s.drop(r.done)
		}
	}
	return from, first
}

// withCopy finds the second copy of a rejection, in the reject log or, with syslog, in the same: it is not told of, and
// its headers go to the first.
func (r *Reader) withCopy(from *stream, e *Event) {
	if !e.Kind.Rejection() {
		return
	}
	for _, s := range r.streams {
		if s == from && !e.syslog || s != from && !s.set.reject && !s.set.piped && !from.set.piped {
			continue
		}
		if s != from {
			r.pass(s)
		}
		if o := s.copyOf(e); o != nil {
			o.used = true
			if e.Headers == "" {
				e.Headers = o.Headers
			}
			break
		}
	}
	if e.Headers != "" && strings.Contains(e.Headers, "Envelope-to:") {
		r.counts.Seen |= SeenHeaders
	}
}

// pass takes the copies away that stand at the front, so that those of one busy second do not hide the next.
func (r *Reader) pass(s *stream) {
	for e := s.ahead(0); e != nil && e.used; e = s.ahead(0) {
		r.again(e)
		s.at++
		s.drop(r.done)
	}
}

// again takes a second copy out of the counts.
func (r *Reader) again(e *Event) {
	r.counts.Kinds[e.Kind]--
	r.counts.Reasons[Duplicate]++
	if e.Doubtful {
		r.counts.Doubtful--
	}
}

// done counts a chunk.
func (r *Reader) done(k *chunk) {
	r.counts.add(&k.counts)
	fault := k.fault
	if fault == nil && k.first && len(k.events) == 0 && k.counts.Reasons[UTF16] > 0 {
		fault = errUTF16
	}
	if fault != nil && len(r.faults) < maxFaults {
		r.faults = append(r.faults, &Fault{Input: k.input.Name, Line: k.line + int(k.counts.Lines), Err: fault})
	}
}

const maxFaults = 1000

// Counts returns what was read so far, in steps of some hundred lines; after io.EOF it is exact.
func (r *Reader) Counts() *Counts { return &r.counts }

// Faults returns what went wrong with the inputs so far.
func (r *Reader) Faults() []*Fault { return r.faults }

// Close ends reading early. It waits for a read that is under way.
func (r *Reader) Close() {
	if !r.started {
		return
	}
	for _, s := range r.streams {
		s.end()
	}
	r.started, r.streams = false, nil
}
