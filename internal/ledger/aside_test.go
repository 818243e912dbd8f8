package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatIsNoFileIsMovedAside(t *testing.T) {
	kinds := []struct {
		name string
		make func(path string) error
	}{
		{"a folder with something in it", func(path string) error { return os.MkdirAll(filepath.Join(path, "below"), 0o700) }},
		{"a symbolic link to a file of bans", func(path string) error {
			other := filepath.Join(t.TempDir(), "other")
			if err := os.WriteFile(other, boltOf(t, 4096, 40), 0o600); err != nil {
				return err
			}
			return os.Symlink(other, path)
		}},
		{"a symbolic link to nothing", func(path string) error { return os.Symlink("nothing", path) }},
		{"a pipe that nobody writes to", func(path string) error { return unix.Mkfifo(path, 0o600) }},
		{"a socket", func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		}},
	}
	for _, file := range []string{fileBans, fileCounters} {
		for _, k := range kinds {
			t.Run(file+" is "+k.name, func(t *testing.T) {
				dir, err := os.MkdirTemp("", "ledger") // short, for the socket
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				if err := k.make(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(filepath.Join(dir, file))
				if err != nil {
					t.Fatal(err)
				}
				log := new(lines)
				e := open(t, Options{Dir: dir, Log: log.log()})
				s := e.State()
				if len(s.Aside) != 1 || s.Fault != "" || !strings.Contains(log.String(), s.Aside[0]) {
					t.Fatalf("%+v\n%s", s, log)
				}
				if after, err := os.Lstat(s.Aside[0]); err != nil || !os.SameFile(before, after) {
					t.Errorf("what is aside is another: %v", err)
				}
				if b := offend(t, e, offence("192.0.2.1", true)); !b.Durable {
					t.Error("a new ban is not durable")
				}
				if err := e.Count(t.Context(), []Tally{{Key: Total, Add: Delta{Bad: 1}}}); err != nil {
					t.Fatal(err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if e := open(t, Options{Dir: dir}); len(e.Bans()) != 1 || e.counts.keys() != 1 {
					t.Errorf("after a restart there are %d bans and %d keys", len(e.Bans()), e.counts.keys())
				}
			})
		}
	}
}

func TestFilesThatAreMovedAsideNeverReplaceEachOther(t *testing.T) {
	dir, h := t.TempDir(), newHands()
	for n := range 4 { // all in the same second
		if err := os.WriteFile(filepath.Join(dir, fileBans), fmt.Appendf(nil, "damaged %d", n), 0o600); err != nil {
			t.Fatal(err)
		}
		open(t, Options{Dir: dir, Clock: h.read}).Close()
	}
	e := open(t, Options{Dir: dir, Clock: h.read})
	var texts []string
	for _, name := range e.State().Aside {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	slices.Sort(texts)
	if want := []string{"damaged 0", "damaged 1", "damaged 2", "damaged 3"}; !slices.Equal(texts, want) {
		t.Errorf("aside are %q: %s", texts, e.State().Aside)
	}
}

func TestADamagedFileOfCountersIsMovedAsideAndNeverHarms(t *testing.T) {
	t.Parallel()
	h := newHands()
	made := t.TempDir()
	e := open(t, Options{Dir: made, Clock: h.read})
	for n := range 200 {
		if err := e.Count(t.Context(), []Tally{{Key: Account(fmt.Sprint(n)), Add: Delta{Bad: 3, Good: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	offend(t, e, offence("192.0.2.1", true))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(made, fileCounters))
	if err != nil {
		t.Fatal(err)
	}
	bans, err := os.ReadFile(filepath.Join(made, fileBans))
	if err != nil {
		t.Fatal(err)
	}
	const total = 500
	var moved atomic.Int64
	var all sync.WaitGroup
	limit := make(chan struct{}, 16)
	for i := range total {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			mutated := mutatedCounters(rand.New(rand.NewPCG(uint64(i), 7)), slices.Clone(whole), i)
			dir := t.TempDir()
			for name, data := range map[string][]byte{fileBans: bans, fileCounters: mutated} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Error(err)
				}
			}
			e, err := Open(Options{Dir: dir, Clock: h.read})
			if err != nil {
				t.Error(err)
				return
			}
			s := e.State()
			if s.Fault != "" || s.Enforced != 1 || len(s.Aside) > 1 || (len(s.Aside) == 0) != (s.Keys == 200) {
				t.Errorf("%d: %+v", i, s)
			}
			if len(s.Aside) == 1 {
				moved.Add(1)
				if aside, err := os.ReadFile(s.Aside[0]); err != nil || !bytes.Equal(aside, mutated) || s.Keys != 0 {
					t.Errorf("%d: what is aside is not what was there: %v; %d keys", i, err, s.Keys)
				}
			}
			e.counts.count(e.Now(), []Tally{{Key: Total, Add: Delta{Bad: 1}}})
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			if e, err = Open(Options{Dir: dir, Clock: h.read}); err != nil || e.counts.keys() != s.Keys+1 {
				t.Errorf("%d: %d keys after a restart, not %d: %v", i, e.counts.keys(), s.Keys+1, err)
				return
			}
			e.Close()
		})
	}
	all.Wait()
	t.Logf("FIGURE damaged files of counters: %d starts, %d files moved aside; 0 panics", total, moved.Load())
	if moved.Load() < total*9/10 {
		t.Errorf("only %d were found damaged", moved.Load())
	}
}

// mutatedCounters changes a file in one of five ways.
func mutatedCounters(r *rand.Rand, f []byte, way int) []byte {
	switch way % 5 {
	case 0:
		f[r.IntN(len(f))] ^= 1 << r.IntN(8)
	case 1:
		f = f[:r.IntN(len(f))]
	case 2:
		fill(r, f[r.IntN(len(f)):])
	case 3:
		f = append(f, byte(way))
	case 4:
		at := r.IntN(len(f) - 100)
		f = slices.Delete(f, at, at+1+r.IntN(99))
	}
	return f
}
