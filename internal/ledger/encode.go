package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
)

// What is stored of an entry: the key is its class and its network, "enforced 192.0.2.0/24"; the value is a CRC-32C of key
// and JSON, then the JSON. One more key, "state", has the version, the time of the last transaction, how many entries there are
// and the sum of their sums: a page that the disk has lost, and shows as it was before, is sound in itself.
const (
	bucketName = "ledger"
	stateKey   = "state"
	version    = 1
	sumSize    = 4
	maxValue   = 1 << 10 // a ban has at most 200 octets of reason, which quotes can double, and 300 of the rest
)

// stored is the value of stateKey.
type stored struct {
	Version int    `json:"version"`
	Entries int    `json:"entries"`
	Sum     uint32 `json:"sum"` // of the sums of all entries, by exclusive or
	moment
}

// count notes that a value is added, or is there no more.
func (s *stored) count(value []byte, n int) {
	if len(value) >= sumSize {
		s.Entries += n
		s.Sum ^= binary.BigEndian.Uint32(value)
	}
}

// change is what is to be written of an entry: a ban, or a network that is let in, or that it is gone.
type change struct {
	id
	ban *Ban
	let *Allowed
}

// changeOf returns the change to an entry, or to none.
func changeOf(i id, n *entry) change {
	if n == nil {
		return change{id: i}
	}
	return change{i, n.ban, n.let}
}

func (i id) key() []byte { return []byte(i.class.String() + " " + i.network.String()) }

// value returns what is stored, which is durable by then; nil for what is gone.
func (c *change) value() ([]byte, error) {
	switch {
	case c.ban != nil:
		b := *c.ban
		b.Durable = true
		return seal(c.key(), b)
	case c.let != nil:
		a := *c.let
		a.Durable = true
		return seal(c.key(), a)
	}
	return nil, nil
}

// seal returns a value with its sum.
func seal(key []byte, v any) ([]byte, error) {
	text := bytes.NewBuffer(make([]byte, sumSize, maxValue))
	encode := json.NewEncoder(text)
	encode.SetEscapeHTML(false)
	if err := encode.Encode(v); err != nil {
		return nil, fmt.Errorf("%s cannot be written: %w", key, err)
	}
	value := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if len(value) > maxValue {
		return nil, fmt.Errorf("%s has %d octets, the most is %d", key, len(value), maxValue)
	}
	binary.BigEndian.PutUint32(value, sum(key, value[sumSize:]))
	return value, nil
}

// unseal reads a value, which must be as it was written.
func unseal(key, value []byte, v any) error {
	if len(value) < sumSize || len(value) > maxValue {
		return unsoundf("%.60q has %d octets", key, len(value))
	}
	if binary.BigEndian.Uint32(value) != sum(key, value[sumSize:]) {
		return unsoundf("%.60q is damaged", key)
	}
	if err := strictly(value[sumSize:], v); err != nil {
		return unsoundf("%.60q: %s", key, err)
	}
	return nil
}

func sum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), value)
}

// strictly reads one JSON value of known fields only.
func strictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more follows")
	}
	return nil
}

// found is what was read from a folder. The zero moment says that nothing was.
type found struct {
	stored
	entries []*entry
	counted stored // what there really is
}

// add reads one key.
func (f *found) add(key, value []byte) error {
	if string(key) == stateKey {
		return unseal(key, value, &f.stored)
	}
	f.counted.count(value, 1)
	word, network, _ := strings.Cut(string(key), " ")
	p, err := netip.ParsePrefix(network)
	if err != nil {
		return unsoundf("%.60q is no key of ours", key)
	}
	n := new(entry)
	if word == allowed.String() {
		a := new(Allowed)
		if err := unseal(key, value, a); err != nil {
			return err
		}
		n = entryOfAllowed(a)
	} else {
		b := new(Ban)
		if err := unseal(key, value, b); err != nil {
			return err
		}
		n = entryOf(b)
	}
	if n.class.String() != word || n.network != p {
		return unsoundf("%.60q holds %s %s", key, n.class, n.network)
	}
	f.entries = append(f.entries, n)
	return nil
}

// check looks at what only the whole tells: the time, by which bans are bounded.
func (f *found) check() error {
	switch {
	case f.Version != version:
		return unsoundf("it is of version %d, this is version %d", f.Version, version)
	case f.Steady.IsZero() || f.Wall.IsZero():
		return unsound("it does not say of which time it is")
	case f.Entries != f.counted.Entries || f.Sum != f.counted.Sum:
		return unsoundf("its entries are %d, and not the %d that were written", f.counted.Entries, f.Entries)
	}
	bans := 0
	for _, n := range f.entries {
		if err := n.check(f.Steady); err != nil {
			return unsoundf("%s %s: %s", n.class, n.network, err)
		}
		if n.class != allowed {
			bans++
		}
	}
	if bans > MaxBans || len(f.entries)-bans > MaxAllowed {
		return unsoundf("it holds %d bans and %d allowed networks, more than were ever kept", bans, len(f.entries)-bans)
	}
	return nil
}
