package mainlog

import (
	"errors"
	"io"
	"sync"
	"time"
)

// stream reads one set in the background: one goroutine cuts chunks, a few parse them, and whoever asks takes them in order.
//
// Bound: inAir chunks and as many that are being cut or told of, of at most 128 kB, and their events, about 1 MB.
type stream struct {
	set     set
	options *Options
	order   chan *chunk  // as they stand in the log; closed at the end
	parse   chan *chunk  // likewise, for whoever parses
	spare   chan []Event // of chunks that are done with
	stop    chan struct{}
	work    sync.WaitGroup

	clock clock
	queue []*chunk // the first is being told of, the others were looked at ahead
	at    int      // of the first
	ended bool
}

const inAir = 2

func newStream(s set, o *Options) *stream {
	return &stream{
		set: s, options: o,
		order: make(chan *chunk, inAir), parse: make(chan *chunk), spare: make(chan []Event, inAir+2), stop: make(chan struct{}),
		clock: clock{where: o.Location, latest: s.inputs[0].latest(o)},
	}
}

// start reads in the background until the end, or until stop is closed and what is being read has come.
func (s *stream) start() {
	for range inAir {
		s.work.Go(func() { // the same ones for all chunks: a stack grows once
			var p parser
			for k := range s.parse {
				select {
				case k.events = <-s.spare:
				default:
				}
				p.parse(k)
				close(k.ready)
			}
		})
	}
	s.work.Go(func() {
		defer close(s.order)
		defer close(s.parse)
		for i := range s.set.inputs {
			if !s.read(&s.set.inputs[i]) {
				return
			}
		}
	})
}

// read sends the chunks of one input. It returns false if the stream was stopped.
func (s *stream) read(in *Input) bool {
	file, err := in.Open()
	if err != nil {
		return s.send(&chunk{input: in, fault: err})
	}
	defer file.Close()
	from, err := plain(file)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errCutGzip
		}
		return s.send(&chunk{input: in, fault: err})
	}
	for cut := newCutter(in, from); ; {
		k, err := cut.next()
		if err != nil && !errors.Is(err, io.EOF) {
			k.fault = err
		}
		if !s.send(k) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

// send puts a chunk in its place and has it parsed meanwhile.
func (s *stream) send(k *chunk) bool {
	k.ready = make(chan struct{})
	select {
	case s.order <- k:
	case <-s.stop:
		return false
	}
	s.parse <- k
	return true
}

// end stops reading and waits for it.
func (s *stream) end() {
	close(s.stop)
	for range s.order { //nolint:revive // whoever waits for a place must see that nobody takes what it sends
	}
	s.work.Wait()
}

// ahead returns the event that comes n after the next one, or nil at the end. It stays where it is until the next one is
// taken from another chunk.
func (s *stream) ahead(n int) *Event {
	n += s.at
	for i := 0; ; i++ {
		if i == len(s.queue) && !s.pull() {
			return nil
		}
		if events := s.queue[i].events; n < len(events) {
			return &events[n]
		}
		n -= len(s.queue[i].events)
	}
}

// pull waits for the next chunk and gives its events their times.
func (s *stream) pull() bool {
	if s.ended {
		return false
	}
	k, ok := <-s.order
	if !ok {
		s.ended = true
		return false
	}
	<-k.ready
	for i := range k.events {
		e := &k.events[i]
		e.Time = s.clock.moment(&e.stamp)
	}
	s.queue = append(s.queue, k)
	return true
}

// drop lets go of the chunks that were told of whole, and hands them to done.
func (s *stream) drop(done func(*chunk)) {
	for len(s.queue) > 0 && s.at >= len(s.queue[0].events) {
		k := s.queue[0]
		s.at -= len(k.events)
		s.queue = append(s.queue[:0], s.queue[1:]...)
		done(k)
		select {
		case s.spare <- k.events[:0]:
		default:
		}
	}
}

// copyOf looks near the place of an entry for its second copy, which has the same words.
func (s *stream) copyOf(e *Event) *Event {
	for n := range maxApart {
		o := s.ahead(n)
		if o == nil || o.Time.Sub(e.Time) > time.Second {
			return nil
		}
		if !o.used && o.Kind == e.Kind && o.PID == e.PID && o.ID == e.ID && o.Text == e.Text {
			return o
		}
	}
	return nil
}

// maxApart is how many entries of other processes may come between an entry and its copy.
const maxApart = 64
