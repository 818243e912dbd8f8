package acl

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// RingOctets is what a ring may take if Limit says nothing else: 8 kB a decision; one with all lists and a full trace takes about 9 kB
// written out, an ordinary one 6.
const RingOctets = 16 << 20

// Bounds of the ring.
const (
	ringEntries = 2048    // an hour of a site with a message every two seconds
	maxLine     = 1 << 20 // a request of 64 kB, of octets that JSON writes as six, and its trace
)

// Ring holds the last decisions that somebody may ask about: those that the log tells of at info. It begins with as they
// were made, and Settle writes them out, as explanations in JSON, with the configuration that they were made by.
//
// Bound: ringEntries and RingOctets or its limit, the oldest go first. Lost on restart unless Save and Load keep it. Of a
// forgotten decision the log's line is all there is. The zero Ring is empty and ready; it is safe for concurrent use.
type Ring struct {
	mu      sync.Mutex
	slots   []slot // a decision with the number n is in slots[n%ringEntries]; nil until there is one
	first   uint64 // the number of the oldest; the first of all has ringEntries, which leaves room before it for what is loaded
	next    uint64 // of the one to come
	octets  int
	limit   int // of octets; 0: RingOctets
	edition uint64
}

// Limit bounds what it takes, in octets.
func (r *Ring) Limit(octets int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = octets
	r.shrink()
}

// Octets returns how many it takes, and how many it may.
func (r *Ring) Octets() (n, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.octets, r.most()
}

// most is how many octets there may be. The lock is held.
func (r *Ring) most() int { return cmp.Or(r.limit, RingOctets) }

// slot is one decision, as it was made or written out.
type slot struct {
	id     string
	moment *moment // nil: written out, or forgotten
	line   []byte  // never changed
	octets int
}

// add keeps a decision. It is on the way of every one that matters, so it does no more than to put it there.
func (r *Ring) add(m *moment) {
	s := slot{id: m.out.ID, moment: m, octets: m.size()}
	r.mu.Lock()
	r.push(s)
	r.mu.Unlock()
}

// push puts a decision behind the last one. The lock is held.
func (r *Ring) push(s slot) {
	r.begin()
	if r.next-r.first == ringEntries {
		r.drop()
	}
	*r.at(r.next) = s
	r.next++
	r.octets += s.octets
	r.edition++
	r.shrink()
}

// begin makes room. The lock is held.
func (r *Ring) begin() {
	if r.slots == nil {
		r.slots = make([]slot, ringEntries)
		r.first, r.next = ringEntries, ringEntries
	}
}

// unshift puts decisions, the newest last, before the oldest, as many of the newest as there is room for. The lock is held.
func (r *Ring) unshift(older []slot) {
	r.begin()
	for _, s := range slices.Backward(older) {
		if r.next-r.first == ringEntries || r.octets+s.octets > r.most() {
			break
		}
		r.first--
		*r.at(r.first) = s
		r.octets += s.octets
	}
	r.edition++
}

// shrink keeps the bound of octets. The lock is held.
func (r *Ring) shrink() {
	for r.octets > r.most() && r.first < r.next {
		r.drop()
	}
}

// drop forgets the oldest. The lock is held.
func (r *Ring) drop() {
	s := r.at(r.first)
	r.octets -= s.octets
	*s = slot{}
	r.first++
}

func (r *Ring) at(n uint64) *slot { return &r.slots[n%ringEntries] }

// Edition is another number whenever the ring has changed.
func (r *Ring) Edition() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.edition
}

// Kept returns how many decisions there are, and the id of the oldest.
func (r *Ring) Kept() (n int, oldest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := r.next; at > r.first; at-- {
		if s := r.at(at - 1); s.id != "" {
			n, oldest = n+1, s.id
		}
	}
	return n, oldest
}

// Find returns the explanation of a decision, a line of JSON.
func (r *Ring) Find(id string) (json.RawMessage, bool) {
	var n uint64
	var s slot
	r.mu.Lock()
	for i := r.next; i > r.first && s.id == ""; i-- {
		if at := r.at(i - 1); at.id == id {
			n, s = i-1, *at
		}
	}
	r.mu.Unlock()
	if s.id == "" || id == "" {
		return nil, false
	}
	return r.written(n, s), true
}

// Last returns the explanations of the last decisions, the newest last, and writes out only those: whoever asks for a few every
// second costs a busy daemon no more than that.
func (r *Ring) Last(most int) []json.RawMessage {
	r.settle(most)
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []json.RawMessage
	for n := r.first; n < r.next; n++ {
		if s := r.at(n); s.line != nil {
			lines = append(lines, s.line)
		}
	}
	return lines[max(0, len(lines)-max(most, 0)):]
}

// Settle writes out what has been added, which takes a fraction of a millisecond each, and lets go of the configurations
// of then. Call it every minute.
func (r *Ring) Settle() { r.settle(ringEntries) }

// settle writes out the last ones. Of those before one that is forgotten all have been written out.
func (r *Ring) settle(most int) {
	r.mu.Lock()
	n, end := r.next-min(r.next-r.first, uint64(max(most, 0))), r.next
	r.mu.Unlock()
	for ; n < end; n++ {
		r.mu.Lock()
		n = max(n, r.first)
		var s slot
		if n < end {
			s = *r.at(n)
		}
		r.mu.Unlock()
		if s.moment != nil {
			r.written(n, s)
		}
	}
}

// written returns the line of a decision, and keeps it instead of the moment.
func (r *Ring) written(n uint64, s slot) []byte {
	if s.moment == nil {
		return s.line
	}
	line := s.moment.line()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < r.first { // it had to go meanwhile
		return line
	}
	if now := r.at(n); now.moment == s.moment { // else another has written it, or it is forgotten
		r.octets += len(line) - now.octets
		now.moment, now.line, now.octets = nil, line, len(line)
		r.shrink()
	}
	return line
}

// Forget removes the decisions that match, and returns how many.
func (r *Ring) Forget(match func(*Explanation) bool) (gone int) {
	for _, line := range r.Last(ringEntries) {
		var x Explanation
		if json.Unmarshal(line, &x) != nil || !match(&x) {
			continue
		}
		r.mu.Lock()
		for n := r.first; n < r.next; n++ {
			if s := r.at(n); s.id == x.ID {
				r.octets -= s.octets
				*s = slot{}
				r.edition++
				gone++
			}
		}
		r.mu.Unlock()
	}
	return gone
}

// Save writes a line for each decision, the newest last.
func (r *Ring) Save(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, line := range r.Last(ringEntries) {
		if _, err := out.Write(line); err != nil {
			return err
		}
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Load takes in what Save has written, as older than what there is already. Damaged are the lines that are no explanation,
// which are left out; the error is the reader's, and what came before it is taken in. It counts as one edition.
func (r *Ring) Load(in io.Reader) (taken, damaged int, err error) {
	var older []slot
	lines := bufio.NewReaderSize(in, maxLine)
	for err == nil {
		var line []byte
		line, err = lines.ReadSlice('\n')
		long := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			break
		}
		if s, ok := slotOf(bytes.TrimSuffix(line, []byte{'\n'})); ok && !long {
			older = append(older, s)
			older = older[max(0, len(older)-ringEntries):]
			taken++
		} else {
			damaged++
		}
	}
	r.mu.Lock()
	r.unshift(older)
	r.mu.Unlock()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return taken, damaged, err
}

// slotOf reads a line. The line is copied.
func slotOf(line []byte) (slot, bool) {
	var x Explanation
	if err := json.Unmarshal(line, &x); err != nil {
		return slot{}, false
	}
	if _, ok := TimeOfID(x.ID); !ok {
		return slot{}, false
	}
	line = bytes.Clone(line)
	return slot{id: x.ID, line: line, octets: len(line)}, true
}

// line writes an explanation. A mistake of ours must not end the daemon.
func (m *moment) line() (line []byte) {
	defer func() {
		if cause := recover(); cause != nil {
			line, _ = json.Marshal(Explanation{ID: m.out.ID, Time: m.f.Now.UTC(), Stage: m.q.Stage.String(), Again: fmt.Sprint("it can't be explained: ", cause)})
		}
	}()
	line, err := json.Marshal(m.explain())
	if err != nil || len(line) >= maxLine {
		line, _ = json.Marshal(Explanation{ID: m.out.ID, Time: m.f.Now.UTC(), Stage: m.q.Stage.String(), Again: "its explanation is too long to be kept"})
	}
	return line
}
