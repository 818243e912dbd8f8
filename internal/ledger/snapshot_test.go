package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sealed puts the right sum behind the octets of a snapshot.
func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(slices.Clip(b), crc32.Checksum(b, castagnoli()))
}

func windowsOf(table *table, now time.Time) (all []Windows) {
	_ = table.each(now, func(w Windows) error { all = append(all, w); return nil })
	return all
}

// varied fills a table with keys of every kind, and with all that a record can have.
func varied(table *table) {
	keys := []Key{
		Total, Account("alice"), Domain("example.org"), aClient(),
		Of(netip.MustParsePrefix("192.0.2.0/24")), Of(netip.MustParsePrefix("0.0.0.0/0")), Of(netip.MustParsePrefix("2001:db8::/48")), Of(netip.MustParsePrefix("::/0")),
	}
	for n := range uint32(1000) {
		keys = append(keys, nth64(n))
	}
	for i, k := range keys {
		for _, at := range []int{0, 40, 70, 26 * 60} {
			n := uint16(i + at)
			counting(table, noon.Add(time.Duration(at)*time.Minute), k, Delta{
				Good: n, Bad: 2 * n, OnlyBad: 1, Failed: 3 * n, Held: 4, Trapped: 5, Clean: 60000, Login: i%2 == 0, Seen: n,
			})
		}
	}
}

func TestASnapshotThatIsFaultyIsAnErrorAndLeavesNothing(t *testing.T) {
	now := noon.Add(27 * time.Hour)
	full := newTable(10_000)
	varied(full)
	whole := snapshotOf(t, full, now)
	const head = snapshotHead
	body := whole[:len(whole)-4]
	record := func(n int) []byte { return bytes.Clone(body[head+n*snapshotRecord:][:snapshotRecord]) }
	with := func(records ...[]byte) []byte {
		b := append([]byte{}, whole[:head]...)
		for _, r := range records {
			b = append(b, r...)
		}
		return sealed(append(b, make([]byte, len(Key{}))...))
	}
	changed := func(at int, to ...byte) []byte {
		r := record(20)
		copy(r[at:], to)
		return with(r)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "cut short"},
		{"another file", []byte("-----BEGIN something else-----\n and more"), "no snapshot"},
		{"another version", bytes.Replace(whole, []byte("counters 1\n"), []byte("counters 2\n"), 1), `version "2\n"`},
		{"one octet turned over", append(append(bytes.Clone(whole[:500]), ^whole[500]), whole[501:]...), ""},
		{"a wrong sum", append(bytes.Clone(body), 1, 2, 3, 4), "its sum is wrong"},
		{"an octet behind the end", append(bytes.Clone(whole), 0), "goes on"},
		{"the same record twice", with(record(3), record(3)), "record 2"},
		{"records in the wrong order", with(record(3), record(2)), "record 2"},
		{"a key of no kind", changed(0, 0x50), "is no key"},
		{"a network with host bits", changed(0, kindV6+8, 0x20, 0x01), "is no key"},
		{"a day of 25 hours", changed(9, 24), "hour 24"},
		{"no start", changed(10, 0, 0, 0, 0), "no start"},
		{"a member that is seen twice", changed(22+20, 7, 0, 7, 0), "who was seen"},
		{"a gap among those seen", changed(22+20, 7, 0, 0, 0, 8, 0), "who was seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(10_000)
			err := table.load(bytes.NewReader(c.b), now)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if table.keys() != 0 || table.changed() || len(snapshotOf(t, table, now)) != head+len(Key{})+4 {
				t.Error("something is left")
			}
			if err := table.load(bytes.NewReader(whole), now); err != nil || table.keys() != full.keys() {
				t.Errorf("the right one after it: %v", err)
			}
		})
	}
	for n := range len(whole) {
		if n > 3*snapshotRecord && n < len(whole)-3*snapshotRecord {
			continue
		}
		table := newTable(10_000)
		if err := table.load(bytes.NewReader(whole[:n]), now); err == nil || table.keys() != 0 {
			t.Errorf("cut after %d octets: %v, %d keys", n, err, table.keys())
		}
	}
	if table := newTable(1000); table.load(bytes.NewReader(whole), now) != nil || table.keys() == 0 || table.keys() > table.most() {
		t.Errorf("of more keys than there may be %d are kept, at most %d", table.keys(), table.most())
	}
	if full.load(bytes.NewReader(whole), now) == nil || full.keys() == 0 {
		t.Error("a table that has counters was loaded into")
	}
}

func TestASnapshotBringsBackAllAndTwoOfTheSameAreEqual(t *testing.T) {
	now := noon.Add(27 * time.Hour)
	table, next, backwards := newTable(10_000), newTable(20_000), newTable(10_000)
	varied(table)
	first := snapshotOf(t, table, now)
	if table.changed() || !bytes.Equal(first, snapshotOf(t, table, now)) {
		t.Error("two snapshots differ")
	}
	if err := next.load(bytes.NewReader(first), now); err != nil {
		t.Fatal(err)
	}
	if next.changed() || !bytes.Equal(first, snapshotOf(t, next, now)) {
		t.Error("a table with other hashes gives another snapshot")
	}
	for r := range table.records(stamp(now)) {
		for _, after := range []time.Duration{0, time.Hour, 20 * time.Hour, 49 * time.Hour} {
			if diff := cmp.Diff(table.read(now.Add(after), r.key), next.read(now.Add(after), r.key)); diff != "" {
				t.Fatalf("%v: %s", r.key, diff)
			}
		}
	}
	all := windowsOf(table, now)
	slices.Reverse(all)
	for _, w := range all {
		if err := backwards.put(w, now); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(all)
	if diff := cmp.Diff(all, windowsOf(backwards, now)); diff != "" || !backwards.changed() {
		t.Errorf("what travelled as windows is something else: %s", diff)
	}
}

func TestOnlyWhatStillCountsIsSaved(t *testing.T) {
	table := newTable(1000)
	counting(table, noon, Account("alice"), Delta{Login: true})
	counting(table, noon, Account("bob"), Delta{Failed: 1})
	counting(table, noon, aClient(), Delta{Bad: 1})
	for after, want := range map[time.Duration]int{
		0:                                3,
		2*time.Hour - time.Second:        3,
		2 * time.Hour:                    2,
		48*time.Hour - time.Second:       2,
		48 * time.Hour:                   1,
		30 * 24 * time.Hour:              1,
		30*24*time.Hour + time.Second:    0,
		200 * 365 * 24 * time.Hour:       0,
		-200 * 365 * 24 * time.Hour:      3,
		-time.Second:                     3,
		30*24*time.Hour - 24*time.Minute: 1,
	} {
		now := noon.Add(after)
		if n := (len(snapshotOf(t, table, now)) - snapshotHead - len(Key{}) - 4) / snapshotRecord; n != want {
			t.Errorf("after %v: %d records, want %d", after, n, want)
		}
		n := 0
		_ = table.each(now, func(Windows) error { n++; return nil })
		if n != want {
			t.Errorf("after %v: %d windows, want %d", after, n, want)
		}
	}
}

func TestTimesOfAClockThatWasAheadAreCut(t *testing.T) {
	ahead, table, next := newTable(1000), newTable(1000), newTable(1000)
	counting(ahead, noon.Add(10*365*24*time.Hour), aClient(), Delta{Good: 2, Bad: 3, Login: true})
	if err := table.load(bytes.NewReader(snapshotOf(t, ahead, noon)), noon); err != nil {
		t.Fatal(err)
	}
	if err := ahead.each(noon, func(w Windows) error { return next.put(w, noon) }); err != nil {
		t.Fatal(err)
	}
	for name, table := range map[string]interface {
		read(time.Time, Key) Counts
	}{"loaded": table, "put": next} {
		want := Counts{Hour: Hour{Good: 2, Bad: 3}, Day: Day{Good: 2, Bad: 3}, LastGood: noon, LastLogin: noon}
		if diff := cmp.Diff(want, table.read(noon, aClient())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if c := table.read(noon.Add(31*24*time.Hour), aClient()); c != (Counts{}) {
			t.Errorf("%s: a month later there is %+v", name, c)
		}
	}
}

// fullDisk is a disk that takes so many octets.
type fullDisk struct{ left int }

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.left)
	d.left -= n
	if n < len(b) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func TestASaveThatFailsIsStillToBeDone(t *testing.T) {
	table := newTable(10_000)
	varied(table)
	now := noon.Add(27 * time.Hour)
	whole := len(snapshotOf(t, table, now))
	for _, room := range []int{0, 100, whole / 2, whole - 1} {
		if err := table.save(&fullDisk{room}, now); err == nil || !table.changed() {
			t.Errorf("%d octets of room: %v, to save: %v", room, err, table.changed())
		}
		if err := table.save(io.Discard, now); err != nil || table.changed() {
			t.Errorf("then: %v, to save: %v", err, table.changed())
		}
	}
	reading := newTable(10_000)
	err := reading.load(io.MultiReader(bytes.NewReader(snapshotOf(t, table, now)[:5000]), badDisk{}), now)
	if err == nil || !strings.Contains(err.Error(), "input/output") || reading.keys() != 0 {
		t.Errorf("a disk that fails: %v, %d keys", err, reading.keys())
	}
}

type badDisk struct{}

func (badDisk) Read([]byte) (int, error) { return 0, errors.New("input/output error") }

func TestWindowsThatCannotBeAreNotTaken(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"no key", `{"start":"2026-11-01T12:00:00Z"}`, "no key"},
		{"no start", `{"key":"total"}`, "no start"},
		{"a start before 1970", `{"key":"total","start":"1969-01-01T00:00:00Z"}`, "start"},
		{"a login after 2106", `{"key":"total","start":"2026-11-01T12:00:00Z","last_login":"2206-01-01T00:00:00Z"}`, "last_login"},
		{"a fraction of a second", `{"key":"total","start":"2026-11-01T12:00:00.5Z"}`, "whole seconds"},
		{"25 hours of a day", `{"key":"total","start":"2026-11-01T12:00:00Z","hours":24}`, "hours 24"},
		{"hours below none", `{"key":"total","start":"2026-11-01T12:00:00Z","hours":-1}`, "hours -1"},
		{"one seen twice", `{"key":"total","start":"2026-11-01T12:00:00Z","hour":{"seen":[1,1]}}`, "seen"},
		{"a counter of 17 bits", `{"key":"total","start":"2026-11-01T12:00:00Z","hour":{"bad":65536}}`, "65536"},
		{"a counter below nothing", `{"key":"total","start":"2026-11-01T12:00:00Z","hour":{"bad":-1}}`, "-1"},
		{"a network with host bits", `{"key":"192.0.2.1/24","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"a network that is longer than is counted", `{"key":"2001:db8::1/128","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"an account by its name", `{"key":"account:alice","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"a hash in upper case", `{"key":"account:00112233445566AA","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"a hash that is none", `{"key":"domain:001122334455667z","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"an unknown kind", `{"key":"uid:0011223344556677","start":"2026-11-01T12:00:00Z"}`, "is no key"},
		{"an empty key", `{"key":"","start":"2026-11-01T12:00:00Z"}`, "is no key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := newTable(1000)
			var w Windows
			err := json.Unmarshal([]byte(c.line), &w)
			if err == nil {
				err = table.put(w, noon)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || table.keys() != 0 || table.changed() {
				t.Errorf("%v, want %q; %d keys", err, c.want, table.keys())
			}
		})
	}
	table := newTable(1000)
	w := Windows{Key: aClient(), Start: noon.Add(-49 * time.Hour), Hour: HourBucket{Bad: 1}, Day: DayBucket{Bad: 1}}
	if err := table.put(w, noon); err != nil || table.keys() != 0 {
		t.Errorf("what is over: %v, %d keys", err, table.keys())
	}
	if stop := errors.New("stop"); func() error {
		varied(table)
		return table.each(noon, func(Windows) error { return stop })
	}() != stop {
		t.Error("each does not end with the error")
	}
}

func FuzzSnapshot(f *testing.F) {
	table := newTable(1000)
	f.Add([]byte{}, uint32(1))
	f.Add(snapshotOf(f, table, noon), stamp(noon))
	varied(table)
	f.Add(snapshotOf(f, table, noon)[:snapshotHead+20*snapshotRecord], stamp(noon.Add(time.Hour)))
	f.Add(snapshotOf(f, table, noon)[:snapshotHead+20*snapshotRecord], uint32(math.MaxUint32))
	f.Fuzz(func(t *testing.T, b []byte, at uint32) {
		now := time.Unix(int64(at), 0)
		for _, b := range [][]byte{b, sealed(b), sealed(append(slices.Clip(b), make([]byte, len(Key{}))...))} {
			table, next := newTable(600), newTable(600)
			err := table.load(bytes.NewReader(b), now)
			if n := table.keys(); n > 600 || table.bytes() > 120<<10 || err != nil && n != 0 {
				t.Fatalf("%d keys, %d octets, error %v", n, table.bytes(), err)
			}
			first := snapshotOf(t, table, now)
			if err := next.load(bytes.NewReader(first), now); err != nil {
				t.Fatalf("what was saved cannot be read: %v", err)
			}
			if !bytes.Equal(first, snapshotOf(t, next, now)) {
				t.Fatal("what was saved and read is saved as something else")
			}
		}
	})
}

func FuzzWindows(f *testing.F) {
	table := newTable(1000)
	varied(table)
	n := 0
	_ = table.each(noon, func(w Windows) error {
		if n++; n < 20 {
			line, err := json.Marshal(w)
			if err != nil {
				f.Error(err)
			}
			f.Add(line)
		}
		return nil
	})
	f.Add([]byte(`{"key":"account:0011223344556677","start":"2026-11-01T13:30:00+02:00","hours":23,"hour_before":{"seen":[1,2,3,4,5]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var w Windows
		if json.Unmarshal(line, &w) != nil {
			return
		}
		table, next := newTable(10), newTable(10)
		if table.put(w, noon) != nil || table.keys() == 0 {
			return
		}
		err := table.each(noon, func(w Windows) error {
			line, err := json.Marshal(w)
			if err != nil {
				return err
			}
			var read Windows
			if err := json.Unmarshal(line, &read); err != nil {
				return err
			}
			if diff := cmp.Diff(w, read); diff != "" {
				t.Errorf("%s: %s", line, diff)
			}
			return next.put(read, noon)
		})
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(snapshotOf(t, table, noon), snapshotOf(t, next, noon)) {
			t.Errorf("%s does not come back as it was", line)
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, k := range []Key{Total, Account("alice"), Domain("example.org"), aClient(), Of(netip.MustParsePrefix("::/0")), Of(netip.MustParsePrefix("2001:db8::/64"))} {
		f.Add(k.String())
	}
	f.Add("::ffff:192.0.2.1/128")
	f.Add("2001:DB8::/32")
	f.Add("account:")
	f.Fuzz(func(t *testing.T, text string) {
		var k Key
		if k.UnmarshalText([]byte(text)) != nil {
			if k != (Key{}) {
				t.Errorf("%q is no key, and leaves %x", text, k[:])
			}
			return
		}
		if again, err := k.MarshalText(); err != nil || string(again) != text || !k.valid() {
			t.Errorf("%q becomes %x and %q: %v", text, k[:], again, err)
		}
	})
}
