package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A snapshot is all counters in a file, so that a restart forgets none that was saved:
//
//	the line  eximpolicyd counters 1
//	stamp     4 octets   when it was saved
//	record    82 octets  each, in the order of their keys
//	zero      9 octets   the key that is none: there are no more
//	sum       4 octets   CRC-32C of all before
//
// A record is its key, the hours of its day with the highest bit for one that may not go yet, three stamps, the counters of both hours, who was seen in them, the counters
// of both days, and twice 4 octets of clean messages. Numbers are little-endian. The sum finds what the disk or a
// half-written file did, not what a person changed: it is not a signature, and the file is as safe as its directory.
const (
	snapshotName    = "eximpolicyd counters "
	snapshotVersion = "1\n"
	snapshotHead    = len(snapshotName) + len(snapshotVersion) + 4
	snapshotRecord  = len(Key{}) + 1 + 3*4 + 2*2*(hourCounters+MaxSeen+dayCounters) + 2*4
	snapshotBuffer  = 1 << 16
	snapshotTouched = 0x80 // so that a full table, whose shards are then others, loses who came once
)

// appendTo appends a record as a snapshot has it.
func (r *record) appendTo(b []byte) []byte {
	hours := r.hours
	if r.touched {
		hours |= snapshotTouched
	}
	b = append(append(b, r.key[:]...), hours)
	for _, n := range []uint32{r.start, r.good, r.login} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for _, bucket := range r.buckets() {
		for _, n := range bucket {
			b = binary.LittleEndian.AppendUint16(b, n)
		}
	}
	for _, n := range r.clean {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// readFrom reads a record from its octets.
func (r *record) readFrom(b []byte) {
	copy(r.key[:], b)
	b = b[len(r.key):]
	r.hours, r.touched, b = b[0]&^snapshotTouched, b[0]&snapshotTouched != 0, b[1:]
	for _, n := range []*uint32{&r.start, &r.good, &r.login} {
		*n, b = binary.LittleEndian.Uint32(b), b[4:]
	}
	for _, bucket := range r.buckets() {
		for i := range bucket {
			bucket[i], b = binary.LittleEndian.Uint16(b), b[2:]
		}
	}
	for i := range r.clean {
		r.clean[i], b = binary.LittleEndian.Uint32(b), b[4:]
	}
}

// buckets are the counters of 16 bits in the order of a snapshot.
func (r *record) buckets() [6][]uint16 {
	return [...][]uint16{r.hour[0][:], r.hour[1][:], r.seen[0][:], r.seen[1][:], r.day[0][:], r.day[1][:]}
}

// castagnoli is the polynomial of CRC-32C, for which processors have an instruction.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// save writes a snapshot of what is left at a time. What is counted meanwhile is in this one or in the next. If it fails,
// there is still something to save.
func (t *table) save(w io.Writer, now time.Time) error {
	t.unsaved.Store(false)
	err := t.write(w, stamp(now))
	if err != nil {
		t.change()
	}
	return err
}

func (t *table) write(w io.Writer, now uint32) error {
	sum := crc32.New(castagnoli())
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), snapshotBuffer)
	line := binary.LittleEndian.AppendUint32([]byte(snapshotName+snapshotVersion), now)
	_, _ = out.Write(line) // an error stays until Flush
	for r := range t.records(now) {
		line = r.appendTo(line[:0])
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	_, _ = out.Write(make([]byte, len(Key{})))
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// snapshotMost bounds a snapshot, 820 MB. One with more keys than the table holds was written with another bound: then some
// go again, as ever.
const snapshotMost = 10_000_000

// load reads a snapshot into a table that has nothing and that nobody else uses yet. Stamps that are later than most are
// made most: a clock that was ahead must not keep anything for longer. After an error the table has nothing.
func (t *table) load(r io.Reader, most time.Time) error {
	if t.keys() != 0 {
		return errors.New("a snapshot is loaded into a table that has counters")
	}
	err := t.readRecords(&summed{in: bufio.NewReaderSize(r, snapshotBuffer)}, stamp(most))
	if err != nil {
		t.clear()
	}
	t.unsaved.Store(false)
	return err
}

func (t *table) readRecords(in *summed, most uint32) error {
	head, err := in.next(snapshotHead)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(head, []byte(snapshotName)) {
		return errors.New("it is no snapshot of counters")
	}
	if version := head[len(snapshotName):][:len(snapshotVersion)]; string(version) != snapshotVersion {
		return fmt.Errorf("it is a snapshot of version %q, and only %q is understood", version, snapshotVersion)
	}
	last := Key{}
	for n := 1; ; n++ {
		k, err := in.in.Peek(len(last))
		if err == nil && Key(k) == (Key{}) {
			return in.end()
		}
		line, err := in.next(snapshotRecord)
		if err != nil {
			return err
		}
		var r record
		r.readFrom(line)
		if err := r.check(); err != nil {
			return fmt.Errorf("record %d of the snapshot: %w", n, err)
		}
		if bytes.Compare(r.key[:], last[:]) <= 0 {
			return fmt.Errorf("record %d of the snapshot: %v after %v", n, r.key, last)
		}
		if n > snapshotMost {
			return fmt.Errorf("the snapshot has more than %d keys", snapshotMost)
		}
		last = r.key
		r.cut(most)
		t.set(&r)
	}
}

// summed reads a snapshot and sums it up.
type summed struct {
	in  *bufio.Reader
	sum uint32
}

// next returns so many octets, until it is called again.
func (s *summed) next(n int) ([]byte, error) {
	b, err := s.in.Peek(n)
	if err == io.EOF {
		return nil, errors.New("the snapshot is cut short")
	}
	if err != nil {
		return nil, err
	}
	s.sum = crc32.Update(s.sum, castagnoli(), b)
	_, err = s.in.Discard(n)
	return b, err
}

// end reads the end of a snapshot, and that there is nothing behind.
func (s *summed) end() error {
	if _, err := s.next(len(Key{})); err != nil {
		return err
	}
	sum := s.sum
	b, err := s.next(4)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b) != sum {
		return errors.New("the snapshot is damaged: its sum is wrong")
	}
	if _, err := s.in.ReadByte(); err == nil {
		return errors.New("the snapshot goes on after its end")
	} else if err != io.EOF {
		return err
	}
	return nil
}
