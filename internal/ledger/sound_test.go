package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// boltOf writes a file of so many bans with pages of a size, in several transactions, and takes some away, so that it has
// branches and free pages.
func boltOf(t testing.TB, page, bans int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: page, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for n := 0; n < bans; n += 20 {
		var list []change
		for i := n; i < min(n+20, bans); i++ {
			a := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			b := &Ban{Network: netip.PrefixFrom(a, 32), Level: 1 + i%5, Enforced: i%3 > 0, Rule: "dictionary.window", Because: "20 recipients do not exist", Made: now, Until: now.Add(time.Hour)}
			list = append(list, changeOf(entryOf(b).id, entryOf(b)))
			if i%10 == 9 {
				list = append(list, change{id: list[len(list)-5].id})
			}
		}
		if err := db.Update(func(tx *bbolt.Tx) error { return put(tx, moment{now, now}, list) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sealMeta makes the sum of a beginning right again.
func sealMeta(file []byte, page, i int) {
	raw := file[i*page+pageHead:]
	sum := fnv.New64a()
	sum.Write(raw[:56])
	binary.NativeEndian.PutUint64(raw[56:], sum.Sum64())
}

// latest returns the beginning with the higher transaction.
func latest(file []byte, page int) int {
	tx := func(i int) uint64 { return binary.NativeEndian.Uint64(file[i*page+pageHead+48:]) }
	if tx(1) > tx(0) {
		return 1
	}
	return 0
}

// pagesOf returns the pages that say they are of a kind.
func pagesOf(file []byte, page int, flags uint16) (ids []int) {
	for id := 2; id < len(file)/page; id++ {
		head := file[id*page:]
		if binary.NativeEndian.Uint64(head) == uint64(id) && binary.NativeEndian.Uint16(head[8:]) == flags && binary.NativeEndian.Uint16(head[10:]) > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// mutations change a file of pages of a size in one way each. They may return another one.
var mutations = map[string]func(r *rand.Rand, f []byte, page int) []byte{
	"one bit is flipped": func(r *rand.Rand, f []byte, _ int) []byte {
		f[r.IntN(len(f))] ^= 1 << r.IntN(8)
		return f
	},
	"one bit of the head of a page is flipped": func(r *rand.Rand, f []byte, page int) []byte {
		f[r.IntN(len(f)/page)*page+r.IntN(pageHead+metaSize)] ^= 1 << r.IntN(8)
		return f
	},
	"a hundred octets are random": func(r *rand.Rand, f []byte, _ int) []byte {
		for range 100 {
			f[r.IntN(len(f))] = byte(r.Uint32())
		}
		return f
	},
	"the elements of a page are random": func(r *rand.Rand, f []byte, page int) []byte {
		p := f[r.IntN(len(f)/page)*page:]
		for i := pageHead; i < 200; i++ {
			p[i] = byte(r.Uint32())
		}
		return f
	},
	"it is cut off": func(r *rand.Rand, f []byte, _ int) []byte { return f[:r.IntN(len(f))] },
	"it is cut off at a page": func(r *rand.Rand, f []byte, page int) []byte {
		return f[:r.IntN(len(f)/page)*page]
	},
	"a page is zeros": func(r *rand.Rand, f []byte, page int) []byte {
		id := r.IntN(len(f) / page)
		clear(f[id*page : (id+1)*page])
		return f
	},
	"two pages are swapped": func(r *rand.Rand, f []byte, page int) []byte {
		a, b := r.IntN(len(f)/page)*page, r.IntN(len(f)/page)*page
		for i := range page {
			f[a+i], f[b+i] = f[b+i], f[a+i]
		}
		return f
	},
	"a page is another one, with the right number": func(r *rand.Rand, f []byte, page int) []byte {
		a, b := r.IntN(len(f)/page), r.IntN(len(f)/page)
		copy(f[a*page+8:(a+1)*page], f[b*page+8:(b+1)*page])
		return f
	},
	"a branch has a page of its own tree below it": func(r *rand.Rand, f []byte, page int) []byte {
		all := pagesOf(f, page, branchPage)
		id := all[r.IntN(len(all))]
		p := f[id*page:]
		i := r.IntN(int(binary.NativeEndian.Uint16(p[10:])))
		binary.NativeEndian.PutUint64(p[pageHead+elementSize*i+8:], uint64(all[r.IntN(len(all))]))
		return f
	},
	"a branch has any page below it": func(r *rand.Rand, f []byte, page int) []byte {
		all := pagesOf(f, page, branchPage)
		p := f[all[r.IntN(len(all))]*page:]
		i := r.IntN(int(binary.NativeEndian.Uint16(p[10:])))
		binary.NativeEndian.PutUint64(p[pageHead+elementSize*i+8:], r.Uint64N(uint64(2*len(f)/page)))
		return f
	},
	"a branch has another first key of a page below it": func(r *rand.Rand, f []byte, page int) []byte {
		all := pagesOf(f, page, branchPage)
		p := f[all[r.IntN(len(all))]*page:]
		i := r.IntN(int(binary.NativeEndian.Uint16(p[10:])))
		key := pageHead + elementSize*i + int(binary.NativeEndian.Uint32(p[pageHead+elementSize*i:]))
		p[key+int(binary.NativeEndian.Uint32(p[pageHead+elementSize*i+4:]))-1]--
		return f
	},
	"a leaf has fewer or more elements": func(r *rand.Rand, f []byte, page int) []byte {
		all := pagesOf(f, page, leafPage)
		p := f[all[r.IntN(len(all))]*page:]
		binary.NativeEndian.PutUint16(p[10:], uint16(r.IntN(2*int(binary.NativeEndian.Uint16(p[10:])))))
		return f
	},
	"free pages are in use": func(r *rand.Rand, f []byte, page int) []byte {
		all := pagesOf(f, page, freePage)
		p := f[all[len(all)-1]*page:]
		binary.NativeEndian.PutUint64(p[pageHead:], r.Uint64N(uint64(len(f)/page)))
		return f
	},
	"the beginning says anything, with the right sum": func(r *rand.Rand, f []byte, page int) []byte {
		i := latest(f, page)
		f[i*page+pageHead+r.IntN(56)] = byte(r.Uint32())
		sealMeta(f, page, i)
		return f
	},
	"the beginning is that of the transaction before": func(r *rand.Rand, f []byte, page int) []byte {
		i := latest(f, page)
		clear(f[i*page : (i+1)*page])
		return f
	},
	"it is of another version of bbolt": func(r *rand.Rand, f []byte, page int) []byte {
		for i := range 2 {
			binary.NativeEndian.PutUint32(f[i*page+pageHead+4:], 3+r.Uint32N(5))
			sealMeta(f, page, i)
		}
		return f
	},
	"it is empty":    func(*rand.Rand, []byte, int) []byte { return nil },
	"it is a text":   func(*rand.Rand, []byte, int) []byte { return []byte("no database\n") },
	"it is random":   func(r *rand.Rand, f []byte, _ int) []byte { fill(r, f); return f },
	"it is zeros":    func(_ *rand.Rand, f []byte, _ int) []byte { clear(f); return f },
	"its end is new": func(r *rand.Rand, f []byte, _ int) []byte { fill(r, f[r.IntN(len(f)):]); return f },
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

// after opens a folder with a mutated file and wants either all that was in it, or the file aside and nothing; and that
// the engine works and saves. It reports which.
func after(dir string, mutated []byte, was []Ban, was2 []Ban) (moved bool, err error) {
	h := newHands()
	e, err := Open(Options{Dir: dir, Clock: h.read})
	if err != nil {
		return false, err
	}
	s, bans := e.State(), e.Bans()
	switch {
	case s.Fault != "":
		return false, fmt.Errorf("the state has the fault %s", s.Fault)
	case len(s.Aside) == 0 && !slices.Equal(bans, was) && !slices.Equal(bans, was2):
		return false, fmt.Errorf("%d of %d bans are there, and nothing is aside", len(bans), len(was))
	case len(s.Aside) > 1 || len(s.Aside) == 1 && len(bans) > 0:
		return false, fmt.Errorf("%d bans are there, and aside is %s", len(bans), s.Aside)
	case len(s.Aside) == 1:
		if aside, err := os.ReadFile(s.Aside[0]); err != nil || !bytes.Equal(aside, mutated) {
			return false, fmt.Errorf("what is aside is not what was there: %v", err)
		}
	}
	b, made, err := e.Offend(bg(), offence("198.51.100.1", true))
	if err != nil || !made || !b.Durable {
		return false, fmt.Errorf("a new ban: %+v, %v", b, err)
	}
	for i := 0; i < len(bans); i += 7 { // all over the file
		if gone, err := e.Unban(bg(), bans[i].Network); err != nil || len(gone) != 1 {
			return false, fmt.Errorf("unban %s: %v, %v", bans[i].Network, gone, err)
		}
	}
	bans = e.Bans()
	if err := e.Close(); err != nil {
		return false, err
	}
	e, err = Open(Options{Dir: dir, Clock: h.read})
	if err != nil {
		return false, err
	}
	defer e.Close()
	if again := e.Bans(); !slices.Equal(again, bans) || len(e.State().Aside) != len(s.Aside) {
		return false, fmt.Errorf("%d bans after a restart, %d before; %+v", len(again), len(bans), e.State())
	}
	return len(s.Aside) == 1, nil
}

func TestADamagedFileOfBansIsMovedAsideAndNeverHarms(t *testing.T) {
	t.Parallel()
	type base struct {
		page      int
		file      []byte
		was, was2 []Ban
	}
	var bases []base
	for page, bans := range map[int]int{1024: 200, 4096: 300} {
		b := base{page: page, file: boltOf(t, page, bans)}
		b.was = loaded(t, b.file)
		older := slices.Clone(b.file)
		i := latest(older, page)
		clear(older[i*page : (i+1)*page])
		b.was2 = loaded(t, older)
		if len(pagesOf(b.file, page, branchPage)) == 0 || len(b.was) < 100 || len(b.was2) < 100 {
			t.Fatalf("the file has no branches, or %d bans", len(b.was))
		}
		bases = append(bases, b)
	}
	names := slices.Sorted(maps.Keys(mutations))
	each := (1000 + len(names) - 1) / len(names)
	root := t.TempDir()
	var mu sync.Mutex
	moved, total := 0, 0
	var all sync.WaitGroup
	limit := make(chan struct{}, 16)
	for _, name := range names {
		for i := range each {
			limit <- struct{}{}
			all.Go(func() {
				defer func() { <-limit }()
				b := bases[i%len(bases)]
				mutated := mutations[name](rand.New(rand.NewPCG(uint64(i), uint64(len(name)))), slices.Clone(b.file), b.page)
				dir := filepath.Join(root, fmt.Sprintf("%s %d", name, i))
				if err := os.Mkdir(dir, 0o750); err != nil {
					t.Error(err)
					return
				}
				defer os.RemoveAll(dir)
				if err := os.WriteFile(filepath.Join(dir, fileBans), mutated, 0o600); err != nil {
					t.Error(err)
					return
				}
				is, err := after(dir, mutated, b.was, b.was2)
				mu.Lock()
				defer mu.Unlock()
				if total++; is {
					moved++
				}
				if err != nil {
					t.Errorf("%s (%d): %v", name, i, err)
				}
			})
		}
	}
	all.Wait()
	t.Logf("FIGURE damaged files of bans: %d starts, %d files moved aside, the others whole; 0 panics", total, moved)
	if moved < total/2 {
		t.Errorf("only %d of %d files were found damaged", moved, total)
	}
}

// loaded returns the bans of a file.
func loaded(t *testing.T, file []byte) []Ban {
	t.Helper()
	var f found
	if _, err := readBolt(bytes.NewReader(file), int64(len(file)), bucketName, f.add); err != nil {
		t.Fatal(err)
	}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	var bans []Ban
	slices.SortFunc(f.entries, byNetwork)
	for _, n := range f.entries {
		bans = append(bans, *n.ban)
	}
	return bans
}

func FuzzReadBolt(f *testing.F) {
	f.Add(boltOf(f, 1024, 12))
	f.Add(boltOf(f, 1024, 60))
	f.Fuzz(func(t *testing.T, file []byte) {
		if file = slices.Clone(file); len(file) >= 2048 { // else no change of a beginning would get beyond its sum
			sealMeta(file, 1024, 0)
			sealMeta(file, 1024, 1)
		}
		holds := map[string]string{}
		fit, err := readBolt(bytes.NewReader(file), int64(len(file)), bucketName, func(key, value []byte) error {
			holds[string(key)] = string(value)
			return nil
		})
		if err != nil || !fit {
			return
		}
		// What is called fit is what bbolt finds, too, and can write to.
		s := &store{dir: t.TempDir()}
		if err := os.WriteFile(s.path(fileBans), file, 0o600); err != nil {
			t.Fatal(err)
		}
		err = s.guard(func() error { return s.openDB(fileBans) })
		if err != nil {
			t.Fatalf("bbolt does not open it: %v", err)
		}
		defer s.close()
		s.db.NoSync = true
		if err := s.guard(func() error { return same(s, holds) }); err != nil {
			t.Fatal(err)
		}
	})
}

// same compares what bbolt finds in a file with what it holds, then removes half of it and adds as much.
func same(s *store, holds map[string]string) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		n := 0
		err := tx.Bucket([]byte(bucketName)).ForEach(func(k, v []byte) error {
			if n++; holds[string(k)] != string(v) || v == nil {
				return fmt.Errorf("%q holds another value", k)
			}
			return nil
		})
		if err == nil && n != len(holds) {
			err = fmt.Errorf("bbolt finds %d keys, not %d", n, len(holds))
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketName))
		i := 0
		for key := range holds {
			i++
			if err := b.Put(fmt.Appendf(nil, "new %d", i), make([]byte, 200)); err != nil {
				return err
			}
			if i%2 == 0 {
				continue
			}
			if b.Get([]byte(key)) == nil {
				return fmt.Errorf("%q is not found", key)
			}
			if err := b.Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
}
